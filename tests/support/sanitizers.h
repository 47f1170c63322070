// Whether this build has a sanitizer: the dispatcher at least, and usually this code too.
#pragma once

namespace postcall::test {

// With a sanitizer, tests cannot measure memory, because freed memory stays mapped; the sanitizer uses
// address space of its own; and it has its own clock functions.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(POSTCALL_SANITIZED)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace postcall::test
