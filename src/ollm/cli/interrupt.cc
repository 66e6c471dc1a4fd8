#include "ollm/cli/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "ollm/cli/exit_code.h"

namespace ollm::cli {
namespace {

CancellationToken token;  // set by the handler: no other state is safe there

void handle(int) {
  if (token.cancelled()) ::_exit(kExitInterrupted);
  token.cancel();
}

}  // namespace

const CancellationToken& cancel_on_interrupt() {
  struct sigaction action{};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  return token;
}

void forget_interrupt() { token.reset(); }

}  // namespace ollm::cli
