// Which experts a row of tokens meets, and what each weighs there. Leaves to others: the products
// of the router and the experts (mixture.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ollm/models/composition.h"

namespace ollm::models {

/// 1 / (1 + exp(-x)), rounded once; the same bits on every machine, as all here.
float sigmoid(float x);

/// Floats that `route` needs beside its arguments.
std::size_t routing_floats(const RouterSpec& router);

/// The experts of one row, by the router's rule (RouterSpec).
///
/// products    [router.products.out] f32, the bias added
/// correction  [router.products.out], or nullptr where the router has none
/// scratch     at least routing_floats(router)
/// ids         [router.chosen], ascending
/// weights     [router.chosen], of each of these
///
/// Of equal scores the lower id is chosen. Every sum is taken in ascending order of ids. Scores and
/// weights are f32, rounded from doubles in plain additions, products and quotients, and zero where
/// they would be denormals: the same bits on every machine, whether or not its
/// floating-point unit takes denormals for zero. Where a product is not finite, as none is of
/// finite rows, every weight is NaN and the ids are the lowest. Allocates nothing.
void route(const RouterSpec& router, const float* products, const float* correction,
           std::span<float> scratch, std::uint32_t* ids, float* weights);

}  // namespace ollm::models
