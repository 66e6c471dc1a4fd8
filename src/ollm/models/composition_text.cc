#include "ollm/models/composition_text.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <string_view>
#include <vector>

namespace ollm::models {
namespace {

class Writer {
 public:
  explicit Writer(const Composition& composition) : model_(composition) {}

  std::string write() {
    line("hidden {} vocab {} positions {}", model_.hidden_size, model_.vocab_size,
         model_.max_positions);
    line("embedding {} times {:a}", matrix(model_.embedding), model_.embedding_multiplier);
    for (const RotarySpec& rotary : model_.rotaries) write_rotary(rotary);
    for (std::size_t i = 0; i < model_.layers.size(); ++i) {
      line("layer {}", i);
      write_layer(model_.layers[i]);
    }
    line("residual times {:a}", model_.residual_multiplier);
    write_norm("final norm", model_.final_norm);
    write_linear("head", model_.head);
    line("stored head '{}' logits over {:a}", model_.stored_head, model_.logits_divisor);
    if (model_.logits_multiplier != 1) line("logits times {:a}", model_.logits_multiplier);
    if (model_.logits_cap != 0) line("logits capped at {:a}", model_.logits_cap);
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  std::string matrix(MatrixId id) const {
    const weights::MatrixUse& use = model_.tape.matrices[id.index];
    const std::string scales = use.scales.empty() ? "" : fmt::format(" by {}", use.scales);
    return fmt::format("{}[{}+{} of {}, {}]{}", use.tensor, use.first_row, use.rows,
                       use.tensor_rows, use.cols, scales);
  }

  std::string vector(VectorId id) const {
    const weights::VectorUse& use = model_.tape.vectors[id.index];
    const std::string add = use.add ? fmt::format(" + {:a}", *use.add) : "";
    const std::string rows = use.tensor_rows == 0 ? "" : fmt::format(" in {}", use.tensor_rows);
    const std::string taps = use.taps == 0 ? "" : fmt::format(" of {} taps", use.taps);
    return fmt::format("{}[{}+{} of {}]{}{}{}", use.tensor, use.first, use.size, use.tensor_size,
                       rows, taps, add);
  }
  std::string vector(const std::optional<VectorId>& id) const { return id ? vector(*id) : "none"; }

  void write_floats(const std::vector<float>& values) {
    for (const float value : values) fmt::format_to(std::back_inserter(out_), " {:a}", value);
  }

  void write_rotary(const RotarySpec& rotary) {
    out_ += "rotary";
    write_floats(rotary.inverse_frequencies);
    line(" times {:a}", rotary.magnitude);
    if (!rotary.beyond) return;
    fmt::format_to(std::back_inserter(out_), "beyond {}", rotary.beyond->positions);
    write_floats(rotary.beyond->inverse_frequencies);
    if (rotary.beyond->magnitude)
      line(" times {:a}", *rotary.beyond->magnitude);
    else
      line("");
  }

  void write_linear(std::string_view name, const LinearSpec& linear) {
    line("{} {} bias {}", name, matrix(linear.weight), vector(linear.bias));
  }

  void write_norm(std::string_view name, const NormSpec& norm) {
    line("{} {} {} bias {} eps {:a}", name, norm.kind == NormKind::rms ? "rms" : "layer",
         vector(norm.weight), vector(norm.bias), norm.eps);
  }
  void write_norm(std::string_view name, const std::optional<NormSpec>& norm) {
    if (norm) write_norm(name, *norm);
  }

  void write(const AttentionSpec& mixer) {
    line("attention heads {} of {} size {} value {} scale {:a} cap {:a} window {}", mixer.heads,
         mixer.kv_heads, mixer.head_dim, mixer.value_dim.value_or(mixer.head_dim), mixer.scale,
         mixer.soft_cap, mixer.window);
    if (!mixer.distance_slopes.empty()) {
      out_ += "distance slopes";
      write_floats(mixer.distance_slopes);
      line("");
    }
    line("rotary {} {} sinks {} kv of {}", mixer.rotary ? fmt::format("{}", *mixer.rotary) : "none",
         mixer.interleaved ? "interleaved" : "halves", vector(mixer.sinks),
         mixer.kv_of_layer ? fmt::format("{}", *mixer.kv_of_layer) : "its own");
    write_linear("q", mixer.q);
    if (!mixer.kv_of_layer) {
      write_linear("k", mixer.k);
      write_linear("v", mixer.v);
    }
    write_norm("q norm", mixer.q_norm);
    write_norm("k norm", mixer.k_norm);
    line("norms of {}", mixer.norm_whole_row ? "rows" : "heads");
    if (mixer.query_growth) {
      fmt::format_to(std::back_inserter(out_), "queries grow by {}", mixer.query_growth->step);
      write_floats(mixer.query_growth->factors);
      line("");
    }
    if (mixer.gated) line("gated");
    write_linear("o", mixer.o);
  }

  void write(const DeltaNetSpec& mixer) {
    line("delta net heads {} of {} values {} of {} taps {}", mixer.layout.key_heads,
         mixer.layout.key_size, mixer.layout.value_heads, mixer.layout.value_size, mixer.taps);
    line("activation {}", static_cast<int>(mixer.activation));
    write_linear("qkv", mixer.qkv);
    if (mixer.z) write_linear("z", *mixer.z);
    write_linear("b", mixer.b);
    if (mixer.a) write_linear("a", *mixer.a);
    line("convolution {} a_log {} dt_bias {}", vector(mixer.convolution), vector(mixer.a_log),
         vector(mixer.dt_bias));
    write_norm("norm", mixer.norm);
    write_linear("o", mixer.o);
  }

  void write(const DenseSpec& dense) {
    line("dense activation {}", static_cast<int>(dense.activation));
    if (dense.gate) write_linear("gate", *dense.gate);
    write_linear("up", dense.up);
    write_linear("down", dense.down);
  }
  void write(const NoFeedForward&) { line("no feed-forward"); }

  void write(const RouterSpec& router) {
    write_linear("router", router.products);
    line("scores {} chosen {} correction {}", static_cast<int>(router.scores), router.chosen,
         vector(router.correction));
    line("groups {} of {} by {}", router.chosen_groups, router.groups,
         router.best_of_group ? "one" : "two");
    line("normalised {} least {:a} offset {:a} times {:a} jitter {:a}", router.normalised,
         router.least_sum, router.sum_offset, router.scaling, router.jitter);
  }

  void write(const weights::ExpertMatrix& matrix) {
    const WeightFormat& format = matrix.format;
    line("of each expert [{}, {}] {} {}", matrix.rows, matrix.cols, to_string(format.element),
         format.layout == WeightLayout::out_by_in ? "out by in" : "in by out");
    if (format.scale) {
      line("scale {} of {} by {}", static_cast<int>(format.scale->type), format.scale->rows,
           format.scale->cols);
    }
    for (const std::string& tensor : matrix.tensors) line("{}", tensor);
    for (const std::string& tensor : matrix.scales) line("{}", tensor);
  }

  void write(const MixtureSpec& mixture) {
    const weights::ExpertsUse& use = model_.tape.experts[mixture.experts.index];
    line("mixture of {} experts of {} activation {}", use.experts, mixture.inner,
         static_cast<int>(mixture.activation));
    write(mixture.router);
    for (const weights::ExpertsForm& form : use.forms) {
      line("gate and up {}", static_cast<int>(form.gate_up));
      for (const weights::ExpertMatrix& matrix : form.matrices) write(matrix);
    }
    if (mixture.clamped)
      line("clamped at {:a} alpha {:a}", mixture.clamped->limit, mixture.clamped->alpha);
    line("biases {} {}", vector(mixture.gate_up_bias), vector(mixture.down_bias));
    if (mixture.shared) write(*mixture.shared);
    if (mixture.shared_gate) write_linear("shared gate", *mixture.shared_gate);
  }

  void write_layer(const LayerSpec& layer) {
    line("{}", layer.wiring == Wiring::sequential ? "sequential" : "parallel");
    write_norm("before mixer", layer.before_mixer);
    std::visit([&](const auto& mixer) { write(mixer); }, layer.mixer);
    write_norm("after mixer", layer.after_mixer);
    write_norm("before feed-forward", layer.before_feed_forward);
    std::visit([&](const auto& feed_forward) { write(feed_forward); }, layer.feed_forward);
    write_norm("after feed-forward", layer.after_feed_forward);
  }

  const Composition& model_;
  std::string out_;
};

}  // namespace

std::string composition_text(const Composition& composition) { return Writer(composition).write(); }

}  // namespace ollm::models
