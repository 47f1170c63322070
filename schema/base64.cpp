#include "schema/base64.h"

#include <openssl/evp.h>

namespace postcall {
namespace {

const unsigned char* In(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* Out(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

}  // namespace

std::string EncodeBase64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL ends it with a NUL
  EVP_EncodeBlock(Out(text), In(bytes), static_cast<int>(bytes.size()));
  text.pop_back();
  return text;
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(Out(bytes), In(text), static_cast<int>(text.size())) < 0) return std::nullopt;
  // OpenSSL counts the padding as bytes, ignores white space around the text, and accepts bits after the last
  // byte that are not zero. So the result is cut, encoded again and compared.
  bytes.resize(bytes.size() - (text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0));
  if (EncodeBase64(bytes) != text) return std::nullopt;
  return bytes;
}

}  // namespace postcall
