// A hosts file for one test. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace postcall::test {

class OwnHosts {
 public:
  explicit OwnHosts(std::string_view text = "");
  ~OwnHosts();
  OwnHosts(const OwnHosts&) = delete;
  OwnHosts& operator=(const OwnHosts&) = delete;

  const std::string& path() const { return path_; }

  // Overwrites the file, as an editor or a container's runtime does.
  void Write(std::string_view text) const;
  // Replaces it by another file, as a package or an orchestrator does.
  void Replace(std::string_view text) const;
  void Remove() const;

 private:
  std::string path_;
};

// `count` lines with one name per line: "host-7.ads.test" is 10.0.0.7.
std::string HostsLines(int count);

}  // namespace postcall::test
