// Touches a guarded field without its mutex. Never built: .ci/run requires that the lint refuses it, which
// shows that the lint would notice one in the program.
#include "common/mutex.h"

namespace postcall {

class Counter {
 public:
  void Add() { ++count_; }

 private:
  Mutex mutex_;
  int count_ GUARDED_BY(mutex_) = 0;
};

void Count() { Counter().Add(); }

}  // namespace postcall
