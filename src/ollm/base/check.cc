#include "ollm/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace ollm {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "ollm: broken invariant: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace ollm
