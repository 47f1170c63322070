// Whether this build is one for a sanitizer.
#pragma once

namespace postcall::test {

// Then memory says nothing, for what is freed stays mapped; address space is taken as the sanitizer likes;
// and the clock's functions are its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace postcall::test
