// Experts against the tensors of folders: every form in which they are stored, and what is wrong
// with each.
#include "ollm/models/tensor_binding.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "ollm/models/expert_forms.h"
#include "ollm/models/inventory.h"

namespace ollm::models {
namespace {

using checkpoint::TensorIndex;
using checkpoint::TensorInfo;
using weights::ExpertsForm;
using weights::ExpertsUse;
using weights::GateUp;

constexpr ExpertSizes kSizes{.experts = 3, .hidden = 64, .inner = 32};

// Tensors of no file.
class Tensors {
 public:
  Tensors& add(std::string name, DType dtype, const Shape& shape) {
    const std::uint64_t size = shape.element_count() * size_bytes(dtype);
    tensors_.push_back({std::move(name), dtype, shape, 0, end_, size});
    end_ += size;
    return *this;
  }
  Tensors& each(const std::function<void(Tensors&, std::string)>& expert) {
    for (std::size_t e = 0; e < kSizes.experts; ++e) expert(*this, "mlp." + std::to_string(e));
    return *this;
  }

  TensorIndex index() const {
    auto made = TensorIndex::make(tensors_, {checkpoint::WeightFile{}});
    EXPECT_TRUE(made.ok());
    return std::move(made).value();
  }

 private:
  std::vector<TensorInfo> tensors_;
  std::uint64_t end_ = 0;
};

void one_expert(Tensors& out, const std::string& name, DType dtype) {
  out.add(name + ".gate_proj.weight", dtype, Shape{32, 64});
  out.add(name + ".up_proj.weight", dtype, Shape{32, 64});
  out.add(name + ".down_proj.weight", dtype, Shape{64, 32});
}

void one_packed_expert(Tensors& out, const std::string& name) {
  for (const char* part : {".gate_proj", ".up_proj"}) {
    out.add(name + part + ".weight_packed", DType::u8, Shape{32, 32});
    out.add(name + part + ".weight_scale", DType::u8, Shape{32, 2});
  }
  out.add(name + ".down_proj.weight_packed", DType::u8, Shape{64, 16});
  out.add(name + ".down_proj.weight_scale", DType::u8, Shape{64, 1});
}

Tensors published_mxfp4() {
  return Tensors()
      .add("gate_up_blocks", DType::u8, Shape{3, 64, 2, 16})
      .add("gate_up_scales", DType::u8, Shape{3, 64, 2})
      .add("down_blocks", DType::u8, Shape{3, 64, 1, 16})
      .add("down_scales", DType::u8, Shape{3, 64, 1});
}

ExpertsUse all_forms() {
  return {
      kSizes.experts,
      {experts_apart(kSizes, "mlp", kGateUpDown),
       experts_stacked(kSizes, "halves", "down_of_halves", GateUp::halves, WeightLayout::out_by_in),
       experts_stacked_mxfp4(kSizes, "gate_up", "down", GateUp::interleaved),
       experts_stacked(kSizes, "gate_up", "down", GateUp::interleaved, WeightLayout::in_by_out)}};
}

// What binding says; `use` is what it made of all_forms().
Result<void> bind(const Tensors& tensors, ExpertsUse& use) {
  const TensorIndex index = tensors.index();
  const auto names = TensorNames::make(index);
  EXPECT_TRUE(names.ok());
  use = all_forms();
  return TensorBinding(*names).bind(use);
}

void expect_refused(const Tensors& tensors, ErrorKind kind, const std::string& named) {
  ExpertsUse use;
  const auto bound = bind(tensors, use);
  ASSERT_FALSE(bound.ok());
  EXPECT_EQ(bound.error().kind, kind) << bound.error().message;
  EXPECT_NE(bound.error().message.find(named), std::string::npos) << bound.error().message;
}

void expect_bound(const Tensors& tensors, const WeightFormat& format, GateUp gate_up) {
  ExpertsUse use;
  const auto bound = bind(tensors, use);
  ASSERT_TRUE(bound.ok()) << bound.error().message;
  ASSERT_EQ(use.forms.size(), 1u);
  EXPECT_EQ(use.form().gate_up, gate_up);
  EXPECT_EQ(use.form().matrices.size(), gate_up == GateUp::apart ? 3u : 2u);
  for (const weights::ExpertMatrix& matrix : use.form().matrices) {
    EXPECT_EQ(matrix.format, format);
    EXPECT_EQ(matrix.scales.size(), format.scale ? matrix.tensors.size() : 0);
  }
}

TEST(TensorBinding, ExpertsStandInATensorForEach) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    Tensors tensors;
    tensors.each([&](Tensors& out, const std::string& name) { one_expert(out, name, dtype); });
    expect_bound(tensors, *plain_format(dtype), GateUp::apart);
  }
}

TEST(TensorBinding, ExpertsStandInOneTensor) {
  Tensors halves;
  halves.add("halves", DType::bf16, Shape{3, 64, 64});
  halves.add("down_of_halves", DType::bf16, Shape{3, 64, 32});
  expect_bound(halves, {.element = WeightElement::bf16}, GateUp::halves);
  Tensors turned;
  turned.add("gate_up", DType::bf16, Shape{3, 64, 64}).add("down", DType::bf16, Shape{3, 32, 64});
  expect_bound(turned, {.element = WeightElement::bf16, .layout = WeightLayout::in_by_out},
               GateUp::interleaved);
}

TEST(TensorBinding, ExpertsStandInMxfp4UnderBothNames) {
  expect_bound(published_mxfp4(), kMxfp4, GateUp::interleaved);
  expect_bound(Tensors().each(one_packed_expert), kMxfp4, GateUp::apart);
}

TEST(TensorBinding, AMissingExpertIsNotFoundByName) {
  Tensors tensors;
  one_expert(tensors, "mlp.0", DType::f32);
  one_expert(tensors, "mlp.2", DType::f32);
  expect_refused(tensors, ErrorKind::not_found, "mlp.1.gate_proj.weight");
  Tensors last;
  one_packed_expert(last, "mlp.2");
  expect_refused(last, ErrorKind::not_found, "mlp.0.gate_proj.weight_packed");
  expect_refused(Tensors().add("other", DType::f32, Shape{1}), ErrorKind::not_found,
                 "mlp.0.gate_proj.weight");
}

TEST(TensorBinding, ExpertsOfAnotherShapeAreCorrupt) {
  Tensors tensors;
  one_expert(tensors, "mlp.0", DType::f32);
  tensors.add("mlp.1.gate_proj.weight", DType::f32, Shape{33, 64});
  expect_refused(tensors, ErrorKind::corrupt, "mlp.1.gate_proj.weight: expected [32, 64]");
  expect_refused(Tensors().add("halves", DType::f32, Shape{2, 64, 64}), ErrorKind::corrupt,
                 "halves");
}

TEST(TensorBinding, ExpertsOfMoreElementsThanATensorHasAreCorrupt) {
  // Each size within the limits of a config.
  constexpr ExpertSizes kLarge{.experts = 16384, .hidden = 1 << 24, .inner = 1 << 24};
  const TensorIndex index = Tensors().add("halves", DType::bf16, Shape{3, 64, 64}).index();
  const auto names = TensorNames::make(index);
  ASSERT_TRUE(names.ok());
  ExpertsUse use{
      kLarge.experts,
      {experts_stacked(kLarge, "halves", "down", GateUp::halves, WeightLayout::out_by_in)}};
  const auto bound = TensorBinding(*names).bind(use);
  ASSERT_FALSE(bound.ok());
  EXPECT_EQ(bound.error().kind, ErrorKind::corrupt);
  EXPECT_NE(bound.error().message.find("config.json asks for [16384, 33554432, 16777216]"),
            std::string::npos)
      << bound.error().message;
}

TEST(TensorBinding, ScalesOfAnotherShapeAreCorrupt) {
  Tensors tensors;
  tensors.add("gate_up_blocks", DType::u8, Shape{3, 64, 2, 16});
  expect_refused(tensors, ErrorKind::not_found, "gate_up_scales");
  tensors.add("gate_up_scales", DType::u8, Shape{3, 64, 1});
  expect_refused(tensors, ErrorKind::corrupt, "gate_up_scales: expected [3, 64, 2]");
}

TEST(TensorBinding, OtherQuantizedExpertsAreUnsupported) {
  Tensors fp8;
  one_expert(fp8, "mlp.0", DType::f8_e4m3);
  expect_refused(fp8, ErrorKind::unsupported, "mlp.0.gate_proj.weight");
  Tensors nvfp4;
  nvfp4.add("mlp.0.gate_proj.weight_packed", DType::u8, Shape{32, 32});
  nvfp4.add("mlp.0.gate_proj.weight_scale", DType::f8_e4m3, Shape{32, 4});
  for (const char* name : {"mlp.1.gate_proj.weight_packed", "mlp.2.gate_proj.weight_packed"})
    nvfp4.add(name, DType::u8, Shape{32, 32});
  expect_refused(nvfp4, ErrorKind::corrupt, "mlp.0.gate_proj.weight_scale");
  Tensors int4;
  int4.add("mlp.0.gate_proj.weight_packed", DType::i32, Shape{32, 32});
  expect_refused(int4, ErrorKind::unsupported, "other quantized weights");
}

TEST(TensorBinding, ExpertsOfSeveralTypesAreUnsupported) {
  Tensors tensors;
  one_expert(tensors, "mlp.0", DType::bf16);
  one_expert(tensors, "mlp.1", DType::f32);
  one_expert(tensors, "mlp.2", DType::bf16);
  expect_refused(tensors, ErrorKind::unsupported,
                 "mlp.1.gate_proj.weight: expected BF16 as tensor mlp.0.gate_proj.weight");
}

TEST(TensorBinding, ASoleExpertStandsEitherWay) {
  constexpr ExpertSizes kSole{.experts = 1, .hidden = 64, .inner = 32};
  for (const bool stacked : {false, true}) {
    Tensors tensors;
    const auto add = [&](const char* name, std::uint64_t rows, std::uint64_t cols) {
      tensors.add(name, DType::f32, stacked ? Shape{1, rows, cols} : Shape{rows, cols});
    };
    add("gate_up", 64, 64);
    add("down", 64, 32);
    const TensorIndex index = tensors.index();
    const auto names = TensorNames::make(index);
    ASSERT_TRUE(names.ok());
    ExpertsUse use{
        1, {experts_stacked(kSole, "gate_up", "down", GateUp::halves, WeightLayout::out_by_in)}};
    const auto bound = TensorBinding(*names).bind(use);
    EXPECT_TRUE(bound.ok()) << bound.error().message;
  }
}

TEST(TensorBinding, BiasesOfExpertsAreRowsOfATensor) {
  const TensorIndex index = Tensors().add("bias", DType::bf16, Shape{3, 32}).index();
  const auto names = TensorNames::make(index);
  ASSERT_TRUE(names.ok());
  weights::VectorUse use{.tensor = "bias", .size = 96, .tensor_size = 96, .tensor_rows = 3};
  EXPECT_TRUE(TensorBinding(*names).bind(use).ok());
  use.tensor_rows = 2;
  const auto other = TensorBinding(*names).bind(use);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().kind, ErrorKind::corrupt);
}

TEST(TensorBinding, PackedWeightsStandForWhatIsSweptAlone) {
  const TensorIndex index = Tensors()
                                .add("q.weight_packed", DType::u8, Shape{8, 32})
                                .add("q.weight_scale", DType::u8, Shape{8, 2})
                                .index();
  const auto names = TensorNames::make(index);
  ASSERT_TRUE(names.ok());
  const weights::MatrixUse matrix{.tensor = "q.weight", .rows = 8, .cols = 64, .tensor_rows = 8};
  weights::MatrixUse swept = matrix;
  const auto bound = TensorBinding(*names).bind(swept);
  EXPECT_EQ(swept.tensor, "q.weight_packed");
  EXPECT_EQ(swept.scales, "q.weight_scale");
  EXPECT_EQ(swept.format, kMxfp4);
  EXPECT_TRUE(bound.ok()) << bound.error().message;
  weights::MatrixUse held = matrix;
  held.held = true;
  weights::MatrixUse gathered = matrix;
  gathered.section = weights::Section::embedding;
  for (weights::MatrixUse* use : {&held, &gathered}) {
    const auto refused = TensorBinding(*names).bind(*use);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::not_found);
  }
}

TEST(DefaultCompute, ExpertsCountAndRoutersDoNot) {
  const TensorIndex index = Tensors()
                                .add("dense", DType::bf16, Shape{8, 8})
                                .add("router", DType::f32, Shape{8, 8})
                                .index();
  Composition model;
  model.tape.matrices = {{.tensor = "dense"}, {.tensor = "router", .held = true}};
  EXPECT_EQ(default_compute(index, model), backend::ComputeMode::bf16);
  ExpertsForm form;
  form.matrices.resize(1);
  form.matrices[0].format = kMxfp4;
  model.tape.experts = {{1, {form}}};
  EXPECT_EQ(default_compute(index, model), backend::ComputeMode::bf16);
  model.tape.experts[0].forms[0].matrices[0].format = {.element = WeightElement::f16};
  EXPECT_EQ(default_compute(index, model), backend::ComputeMode::f32);
}

}  // namespace
}  // namespace ollm::models
