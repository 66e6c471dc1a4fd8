// For the tests of every folder: a child process in which the system says no, as a container's
// seccomp profile or a limit makes it. Leaves to others: what is expected of the code then.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <vector>

#include "ollm/base/callback.h"

namespace ollm {

/// From now on, for this thread and those it starts, the system calls of these numbers fail with
/// `error`. Cannot be taken back: for children. False where the system has no filters.
inline bool forbid_calls(std::initializer_list<long> numbers, int error) {
  std::vector<sock_filter> filter;
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  for (const long number : numbers) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1));
    filter.push_back(
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// What a child that could not be made as the test wants it returns.
inline constexpr int kNotPossibleHere = 77;

/// Runs `body` in a child and returns what it returns (0 to 127), or minus the signal that ended
/// it: SIGALRM where it hangs.
inline int in_child(FunctionRef<int()> body, unsigned seconds = 20) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return kNotPossibleHere;
  if (child == 0) {
    ::alarm(seconds);
    ::_exit(body());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace ollm
