// How the backends are named in settings, plans and messages.
// Leaves to others: which one takes a model (plan/select.h).
#pragma once

#include <string_view>

namespace ollm {

/// Backend ids. On input "transformers-generic" is another name of the second.
inline constexpr std::string_view kOptimizedNative = "optimized-native";
inline constexpr std::string_view kNativeGeneric = "native-generic";

}  // namespace ollm
