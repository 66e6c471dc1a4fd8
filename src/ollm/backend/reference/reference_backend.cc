// Products, norms, activations and rotation by plain loops in double.
// Leaves to others: attention (reference_attention.cc).
#include "ollm/backend/reference/reference_backend.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ollm/backend/float_mode.h"
#include "ollm/backend/reference/elements.h"

namespace ollm::backend {
namespace {

double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu:
      return x * 0.5 * std::erfc(-x / std::numbers::sqrt2);
    case Activation::gelu_tanh:
      return x * 0.5 *
             (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::relu_squared:
      return x > 0 ? x * x : 0;
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return 0;
}

}  // namespace

std::size_t ReferenceBackend::left_bytes(std::size_t rows, std::size_t cols, LeftRounding) const {
  return rows * cols * sizeof(float);
}

LeftOperand ReferenceBackend::prepare_left(const float* x, std::size_t x_stride, std::size_t rows,
                                           std::size_t cols, std::byte* storage,
                                           LeftRounding rounding) {
  const ComputeMode mode = rounding == LeftRounding::none ? ComputeMode::f32 : mode_;
  auto* to = reinterpret_cast<float*>(storage);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < cols; ++i) *to++ = rounded(mode, x[r * x_stride + i]);
  return {storage, rows, cols, rounding};
}

void ReferenceBackend::matmul(const LeftOperand& x, const WeightRows& w, float* out,
                              std::size_t out_stride) {
  const FloatMode mode;
  const auto* left = reinterpret_cast<const float*>(x.data);
  for (std::size_t r = 0; r < x.rows; ++r) {
    for (std::size_t j = 0; j < w.rows; ++j) {
      double sum = 0;
      for (std::size_t i = 0; i < w.cols; ++i)
        sum += static_cast<double>(left[r * x.cols + i]) * static_cast<double>(weight_at(w, j, i));
      out[r * out_stride + j] = static_cast<float>(sum);
    }
  }
}

void ReferenceBackend::add_bias(float* x, std::size_t x_stride, std::size_t rows,
                                const WeightVector& bias) {
  const FloatMode mode;
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < bias.size; ++i) x[r * x_stride + i] += bias.data[i];
}

void ReferenceBackend::widen(const WeightRows& w, float* out) {
  for (std::size_t j = 0; j < w.rows; ++j)
    for (std::size_t i = 0; i < w.cols; ++i) *out++ = weight_at(w, j, i);
}

void ReferenceBackend::rms_norm(const float* x, const WeightVector& weight, float eps, float* out,
                                std::size_t rows) {
  const FloatMode mode;
  const std::size_t size = weight.size;
  for (std::size_t r = 0; r < rows; ++r, x += size, out += size) {
    double squares = 0;
    for (std::size_t i = 0; i < size; ++i)
      squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    const double root = std::sqrt(squares / static_cast<double>(size) + static_cast<double>(eps));
    for (std::size_t i = 0; i < size; ++i)
      out[i] = static_cast<float>(static_cast<double>(x[i]) / root *
                                  static_cast<double>(weight.data[i]));
  }
}

void ReferenceBackend::layer_norm(const float* x, const WeightVector& weight,
                                  const WeightVector& bias, float eps, float* out,
                                  std::size_t rows) {
  const FloatMode mode;
  const std::size_t size = weight.size;
  for (std::size_t r = 0; r < rows; ++r, x += size, out += size) {
    double sum = 0;
    for (std::size_t i = 0; i < size; ++i) sum += static_cast<double>(x[i]);
    const double mean = sum / static_cast<double>(size);
    double squares = 0;
    for (std::size_t i = 0; i < size; ++i)
      squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
    const double root = std::sqrt(squares / static_cast<double>(size) + static_cast<double>(eps));
    for (std::size_t i = 0; i < size; ++i) {
      const double added = bias.data == nullptr ? 0.0 : static_cast<double>(bias.data[i]);
      out[i] = static_cast<float>(
          (static_cast<double>(x[i]) - mean) / root * static_cast<double>(weight.data[i]) + added);
    }
  }
}

void ReferenceBackend::add(float* x, const float* y, float y_scale, std::size_t n) {
  const FloatMode mode;
  for (std::size_t i = 0; i < n; ++i)
    x[i] = static_cast<float>(static_cast<double>(x[i]) +
                              static_cast<double>(y[i]) * static_cast<double>(y_scale));
}

void ReferenceBackend::add_weighted(float* out, std::size_t out_stride, const std::uint32_t* rows,
                                    const float* weights, const float* x, std::size_t n_rows,
                                    std::size_t size) {
  for (std::size_t i = 0; i < n_rows; ++i)
    add(out + rows[i] * out_stride, x + i * size, weights[i], size);
}

void ReferenceBackend::multiply_rows(float* x, std::size_t n_rows, std::size_t size,
                                     const float* factors) {
  for (std::size_t i = 0; i < n_rows; ++i) scale(x + i * size, factors[i], size);
}

void ReferenceBackend::scale(float* x, float factor, std::size_t n) {
  const FloatMode mode;
  for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
}

void ReferenceBackend::divide(float* x, float divisor, std::size_t n) {
  const FloatMode mode;
  for (std::size_t i = 0; i < n; ++i) x[i] /= divisor;
}

void ReferenceBackend::soft_cap(float* x, float cap, std::size_t n) {
  const FloatMode mode;
  const auto c = static_cast<double>(cap);
  for (std::size_t i = 0; i < n; ++i)
    x[i] = static_cast<float>(c * std::tanh(static_cast<double>(x[i]) / c));
}

void ReferenceBackend::activate(Activation activation, const float* gate, const float* up,
                                float* out, std::size_t n) {
  const FloatMode mode;
  for (std::size_t i = 0; i < n; ++i) {
    const double factor = up == nullptr ? 1.0 : static_cast<double>(up[i]);
    out[i] = static_cast<float>(activated(activation, static_cast<double>(gate[i])) * factor);
  }
}

void ReferenceBackend::clamped_swiglu(const float* gate_up, float alpha, float limit, float* out,
                                      std::size_t n) {
  const FloatMode mode;
  for (std::size_t i = 0; i < n; ++i) {
    const float gate = limit < gate_up[2 * i] ? limit : gate_up[2 * i];
    const float up = std::clamp(gate_up[2 * i + 1], -limit, limit);
    const double glu = static_cast<double>(gate) /
                       (1 + std::exp(-static_cast<double>(alpha) * static_cast<double>(gate)));
    out[i] = static_cast<float>((static_cast<double>(up) + 1) * glu);
  }
}

void ReferenceBackend::rotary_table(const std::uint32_t* positions, std::size_t rows,
                                    const float* inverse_frequencies, std::size_t pairs,
                                    float magnitude, float* cos_out, float* sin_out) {
  const FloatMode mode;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < pairs; ++i) {
      const float angle = static_cast<float>(positions[r]) * inverse_frequencies[i];
      cos_out[r * pairs + i] =
          static_cast<float>(std::cos(static_cast<double>(angle)) * static_cast<double>(magnitude));
      sin_out[r * pairs + i] =
          static_cast<float>(std::sin(static_cast<double>(angle)) * static_cast<double>(magnitude));
    }
  }
}

void ReferenceBackend::rotate(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
                              std::size_t head_size, const float* cos, const float* sin,
                              std::size_t pairs, bool interleaved) {
  const FloatMode mode;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t h = 0; h < heads; ++h) {
      float* head = x + r * x_stride + h * head_size;
      for (std::size_t i = 0; i < pairs; ++i) {
        float& first = head[interleaved ? 2 * i : i];
        float& second = head[interleaved ? 2 * i + 1 : i + pairs];
        const auto a = static_cast<double>(first);
        const auto b = static_cast<double>(second);
        const auto c = static_cast<double>(cos[r * pairs + i]);
        const auto s = static_cast<double>(sin[r * pairs + i]);
        first = static_cast<float>(a * c - b * s);
        second = static_cast<float>(b * c + a * s);
      }
    }
  }
}

}  // namespace ollm::backend
