#include "tests/support/closed_ports.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

namespace postcall::test {
namespace {

using boost::asio::ip::tcp;

TEST(FullBacklog, NeitherTakesNorRefusesAConnection) {
  const FullBacklog port;
  boost::asio::io_context loop;
  tcp::socket socket(loop);
  boost::asio::steady_timer timer(loop, std::chrono::milliseconds(500));
  boost::system::error_code outcome = boost::asio::error::would_block;
  socket.async_connect({boost::asio::ip::make_address("127.0.0.1"), port.port()}, [&](auto failed) {
    outcome = failed;
    timer.cancel();
  });
  timer.async_wait([&](auto) { socket.close(); });
  loop.run();
  EXPECT_EQ(outcome, boost::asio::error::operation_aborted);
}

TEST(RefusingPort, RefusesAtOnce) {
  const RefusingPort port;
  boost::asio::io_context loop;
  tcp::socket socket(loop);
  boost::system::error_code outcome;
  socket.connect({boost::asio::ip::make_address("127.0.0.1"), port.port()}, outcome);
  EXPECT_EQ(outcome, boost::asio::error::connection_refused);
}

}  // namespace
}  // namespace postcall::test
