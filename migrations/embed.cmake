# Writes OUTPUT, a header with one string constant for each of FILES: 0001_some_name.sql is k0001_some_name.
# cmake -D OUTPUT=sql.h -D "FILES=a.sql;b.sql" -P embed.cmake
set(text "#pragma once\n\n#include <string_view>\n\nnamespace postcall::migrations::sql {\n")
foreach(path IN LISTS FILES)
  get_filename_component(name ${path} NAME_WE)
  file(READ ${path} content)
  string(APPEND text "\ninline constexpr std::string_view k${name} = R\"sql(${content})sql\";\n")
endforeach()
string(APPEND text "\n}  // namespace postcall::migrations::sql\n")
file(WRITE ${OUTPUT} "${text}")
