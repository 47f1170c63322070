#include "dispatcher/admin/listen_address.h"

#include <gtest/gtest.h>

namespace postcall::admin {
namespace {

TEST(ListenAddress, ReadsHostsAndPorts) {
  for (const char* text :
       {"127.0.0.1:9464", "0.0.0.0:0", "[::1]:9464", "[::]:65535", "localhost:9464", "a-b.example:1"}) {
    const auto address = ParseListenAddress(text);
    ASSERT_TRUE(address) << text << ": " << address.error();
    EXPECT_EQ(ToString(*address), text);
  }
  EXPECT_EQ(ParseListenAddress("[fe80::1]:80")->host, "fe80::1");
}

TEST(ListenAddress, SaysWhatToWriteInsteadOfATextThatItCannotRead) {
  const std::string what_to_do = "; give host:port, such as 127.0.0.1:9464, 0.0.0.0:9464 or [::1]:9464";
  EXPECT_EQ(ParseListenAddress("").error(), "it has no port" + what_to_do);
  EXPECT_EQ(ParseListenAddress("127.0.0.1").error(), "it has no port" + what_to_do);
  EXPECT_EQ(ParseListenAddress(":9464").error(), "it has no host" + what_to_do);
  EXPECT_EQ(ParseListenAddress("::1:9464").error(), "an IPv6 address needs brackets" + what_to_do);
  EXPECT_EQ(ParseListenAddress("[x]:9464").error(),
            "the text in brackets is not an IPv6 address" + what_to_do);
  for (const char* text : {"h:", "h:-1", "h:65536", "h: 1", "h:1x", "h:+1"}) {
    EXPECT_EQ(ParseListenAddress(text).error(), "the port is not a number from 0 to 65535" + what_to_do)
        << text;
  }
  for (const char* text : {"ho st:1", "http//x:1", "a/b:1", "[]x:1"})
    EXPECT_FALSE(ParseListenAddress(text)) << text;
}

}  // namespace
}  // namespace postcall::admin
