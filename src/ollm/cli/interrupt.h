// Ctrl-C as a wish to stop: the first asks, the second ends the process at once.
#pragma once

#include "ollm/base/callback.h"

namespace ollm::cli {

/// The token that SIGINT and SIGTERM set from now on.
const CancellationToken& cancel_on_interrupt();

/// That what it stopped is over, and another one asks anew.
void forget_interrupt();

}  // namespace ollm::cli
