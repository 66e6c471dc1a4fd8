// How many times a program has asked operator new for memory, for tests of loops that must not.
// Leaves to others: malloc called directly, as C libraries do.
#pragma once

#include <cstddef>

namespace ollm::testing {

/// Calls of operator new, of any form, by all threads since the program began. A program that links
/// ollm_allocation_count gets the counting operators in place of the library's.
std::size_t allocation_count();

}  // namespace ollm::testing
