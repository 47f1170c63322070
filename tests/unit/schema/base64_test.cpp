#include "schema/base64.h"

#include <gtest/gtest.h>

namespace postcall {
namespace {

TEST(Base64, HasTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(EncodeBase64(bytes), text);
    EXPECT_EQ(DecodeBase64(text), bytes);
  }
}

TEST(Base64, CarriesEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  for (std::size_t length = 250; length <= 256; ++length) {
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes.substr(0, length))), bytes.substr(0, length));
  }
  EXPECT_EQ(EncodeBase64("\xFB\xEF\xBE\xFF"), "++++/w==");
}

TEST(Base64, RefusesTextThatIsNotStrictBase64) {
  for (const char* text : {"Zg", "Zg=", "Zg===", "Z===", "====", "=", "Z", "Zm9v=", "Zm=v", "Zg==Zg==",
                           "Zm9v\n", "Zm 9", "Zm9-", "Zm9_", "Zh==", "Zm9=", "\xC3\xA9\xC3\xA9"}) {
    EXPECT_EQ(DecodeBase64(text), std::nullopt) << text;
  }
  for (const char* text : {" Zm9v", "Zm9v ", "    ", "   =", "  ==", "\nZm=", "\tZm9vZm9v\r\n"}) {
    EXPECT_EQ(DecodeBase64(text), std::nullopt) << "spaces are not in the alphabet";
  }
}

}  // namespace
}  // namespace postcall
