# Writes OUTPUT, a header with the text of each of FILES (paths in FOLDER) and its SHA-256.
# cmake -D OUTPUT=sql.h -D FOLDER=migrations -D "FILES=0001_some_name.sql;views/name.sql" -P embed.cmake
set(text "#pragma once

#include <array>
#include <string_view>

namespace postcall::migrations::sql {

struct File {
  std::string_view name;  // without .sql
  std::string_view text;
  std::string_view checksum;
};

inline constexpr std::array kFiles = {
")
foreach(path IN LISTS FILES)
  string(REGEX REPLACE "\\.sql$" "" name ${path})
  file(READ ${FOLDER}/${path} content)
  file(SHA256 ${FOLDER}/${path} checksum)
  string(APPEND text "File{\"${name}\", R\"sql(${content})sql\", \"${checksum}\"},\n\n")
endforeach()
string(APPEND text "};\n\n}  // namespace postcall::migrations::sql\n")
file(WRITE ${OUTPUT} "${text}")
