// Whether a test that cannot run here must fail instead of being skipped. Any thread.
#pragma once

#include <cstdlib>

#include "tests/support/sanitizers.h"

namespace postcall::test {

// In CI a test that lacks root, a network of its own or a package fails instead of being skipped. Otherwise a
// runner without them would be green; with a sanitizer the test may be skipped, because the sanitizer may be
// the reason.
inline bool MustRun() { return std::getenv("CI") != nullptr && !kSanitized; }

}  // namespace postcall::test
