#include "engine/quantize.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "engine/cards.h"
#include "engine/gguf_export.h"
#include "engine/gguf_model.h"
#include "engine/tensor_source.h"
#include "kernels/bfloat16.h"
#include "kernels/block_quantizer.h"
#include "kernels/quant.h"

namespace lastro::engine {
namespace {

struct Scheme {
  const char* name;
  StoredType type;
  StoredType better;   // for the tensors that cost the most quality
  bool mixed;          // better is used inside the layers too
  uint32_t file_type;  // general.file_type
};
constexpr Scheme kSchemes[] = {
    {"f32", StoredType::kF32, StoredType::kF32, false, 0},
    {"f16", StoredType::kF16, StoredType::kF16, false, 1},
    {"bf16", StoredType::kBF16, StoredType::kBF16, false, 32},
    {"q8_0", StoredType::kQ8_0, StoredType::kQ8_0, false, 7},
    {"q4_0", StoredType::kQ4_0, StoredType::kQ6_K, false, 2},
    {"q4_k_m", StoredType::kQ4_K, StoredType::kQ6_K, true, 15},
    {"q5_k_m", StoredType::kQ5_K, StoredType::kQ6_K, true, 17},
    {"q6_k", StoredType::kQ6_K, StoredType::kQ6_K, false, 18},
    {"mxfp4", StoredType::kMXFP4, StoredType::kQ8_0, false, 38},
};

struct Job {
  ExportTensor tensor;
  StoredType type;
};

// In the first and last eighth of the layers and every third between errors matter more.
bool DeservesMore(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

// The layer of "blk.<layer>.<part>"; -1 for other names.
int64_t LayerOf(absl::string_view name, absl::string_view* part) {
  if (!absl::ConsumePrefix(&name, "blk.")) return -1;
  const size_t dot = name.find('.');
  int64_t layer = -1;
  if (dot == absl::string_view::npos || !absl::SimpleAtoi(name.substr(0, dot), &layer)) return -1;
  *part = name.substr(dot + 1);
  return layer;
}

StoredType WantedType(const Scheme& scheme, const std::string& name, bool tied_head, int64_t layers) {
  if (name == "output.weight" || (tied_head && name == "token_embd.weight")) return scheme.better;
  if (name == "position_embd.weight" || name == "token_types.weight") return StoredType::kF32;
  if (name == "cls.output.weight" || name == "lastro.span_head.weight") return StoredType::kF32;  // small, and decide
  absl::string_view part;
  const int64_t layer = LayerOf(name, &part);
  const bool costly = part == "attn_v.weight" || part == "attn_qkv.weight" || part == "ffn_down.weight";
  return scheme.mixed && layer >= 0 && costly && DeservesMore(layer, layers) ? scheme.better : scheme.type;
}

StoredType TypeFor(const Scheme& scheme, const ExportTensor& tensor, bool tied_head, int64_t layers) {
  const std::vector<int64_t> shape = tensor.shape();
  if (shape.size() < 2 || !absl::EndsWith(tensor.name, ".weight")) return StoredType::kF32;
  const StoredType wanted = WantedType(scheme, tensor.name, tied_head, layers);
  if (shape.back() % BlockOf(wanted).elements == 0) return wanted;
  return shape.back() % BlockOf(StoredType::kQ8_0).elements == 0 ? StoredType::kQ8_0 : StoredType::kF16;
}

// `count` elements of a stored row, as floats.
void ReadFloats(DataType type, const uint8_t* from, int64_t count, std::vector<uint8_t>* aligned, float* to) {
  if (kernels::IsQuantized(type)) {
    kernels::QuantKernelsOf(kernels::ActiveKernels()).dequantize(from, type, count, false, to);
    return;
  }
  aligned->assign(from, from + kernels::RowBytes(type, count));
  kernels::ActiveKernels().to_f32(aligned->data(), type, count, false, to);
}

// False when a number is not finite, or too large for the type.
bool WriteRow(StoredType type, const float* x, int64_t count, uint8_t* to) {
  const float limit = type == StoredType::kF16 ? 65504.0f : std::numeric_limits<float>::max();
  if (!std::all_of(x, x + count, [limit](float value) { return std::abs(value) <= limit; })) return false;
  if (type == StoredType::kF32) {
    std::memcpy(to, x, static_cast<size_t>(count) * sizeof(float));
  } else if (type == StoredType::kF16 || type == StoredType::kBF16) {
    for (int64_t i = 0; i < count; ++i) {
      const uint16_t half = type == StoredType::kF16 ? kernels::FloatToFp16(x[i]) : kernels::FloatToBf16(x[i]);
      std::memcpy(to + 2 * i, &half, sizeof(half));
    }
  } else {
    kernels::QuantizeBlocks(*DataTypeOf(type), x, count, to);
  }
  return true;
}

// Converts and reorders one tensor; rows are shared between threads.
class TensorWriter {
 public:
  TensorWriter(const HeadCounts& heads, ThreadPool* pool) : heads_(heads), pool_(*pool) {}

  absl::Status Write(const Job& job, std::string* out) const {
    LASTRO_ASSIGN_OR_RETURN(Layout layout, LayoutOf(job));
    const BlockSize block = BlockOf(job.type);
    const int64_t to_bytes = layout.cols / block.elements * block.bytes;
    out->resize(static_cast<size_t>(layout.rows * to_bytes));
    const std::vector<float> transposed = Transposed(job, layout);
    std::atomic<bool> ok = true;
    auto body = [&](int64_t begin, int64_t end) {
      std::vector<uint8_t> aligned;
      std::vector<float> values(static_cast<size_t>(layout.cols));
      for (int64_t row = begin; row < end; ++row) {
        const float* from = values.data();
        if (transposed.empty()) {
          ReadRow(job, layout, row, &aligned, values.data());
        } else {
          from = transposed.data() + row * layout.cols;
        }
        const int64_t to = layout.order.empty() ? row : layout.order[static_cast<size_t>(row)];
        if (!WriteRow(job.type, from, layout.cols, reinterpret_cast<uint8_t*>(out->data()) + to * to_bytes)) ok = false;
      }
    };
    pool_.ParallelFor(layout.rows, std::max<int64_t>(1, kElementsPerTask / layout.cols), std::ref(body));
    if (ok) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", job.tensor.name, " holds numbers that are not finite, or too large for ", NameOf(job.type)));
  }

 private:
  static constexpr int64_t kElementsPerTask = 1 << 14;

  // Rows as they are written; where rows move, each element of a bias is one.
  struct Layout {
    DataType type = DataType::kF32;  // of the source
    int64_t rows = 0;
    int64_t cols = 0;
    std::vector<int64_t> order;  // where each row of the source goes; empty: its own place
  };

  absl::StatusOr<Layout> LayoutOf(const Job& job) const {
    const StoredTensor& source = job.tensor.source;
    const std::optional<DataType> type = DataTypeOf(source.type);
    if (!type.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", job.tensor.name, " is of type ", NameOf(source.type), ", which is no weight"));
    }
    const GgufChange change = job.tensor.change;
    const bool moves =
        change == GgufChange::kQueryRows || change == GgufChange::kKeyRows || change == GgufChange::kFusedQkvRows;
    const std::vector<int64_t> shape = job.tensor.shape();
    Layout layout;
    layout.type = *type;
    layout.cols = shape.size() == 1 && moves ? 1 : shape.back();
    layout.rows = source.elements() / layout.cols;
    if (moves) layout.order = GgufRowOrder(change, heads_, layout.rows);
    if (!moves || !layout.order.empty()) return layout;
    return absl::InvalidArgumentError(absl::StrCat("tensor ", job.tensor.name, " does not fit the model's heads"));
  }

  static void ReadRow(const Job& job, const Layout& layout, int64_t row, std::vector<uint8_t>* aligned, float* to) {
    const uint8_t* from = job.tensor.source.data.data() + row * kernels::RowBytes(layout.type, layout.cols);
    ReadFloats(layout.type, from, layout.cols, aligned, to);
    if (job.tensor.change != GgufChange::kNormPlusOne) return;
    for (int64_t i = 0; i < layout.cols; ++i) to[i] += 1.0f;
  }

  // The whole matrix, turned; empty for tensors that are not.
  static std::vector<float> Transposed(const Job& job, const Layout& layout) {
    if (job.tensor.change != GgufChange::kTransposed || job.tensor.source.shape.size() != 2) return {};
    std::vector<uint8_t> aligned;
    std::vector<float> row(static_cast<size_t>(layout.rows)), all(static_cast<size_t>(layout.rows * layout.cols));
    for (int64_t r = 0; r < layout.cols; ++r) {
      const uint8_t* from = job.tensor.source.data.data() + r * kernels::RowBytes(layout.type, layout.rows);
      ReadFloats(layout.type, from, layout.rows, &aligned, row.data());
      for (int64_t c = 0; c < layout.rows; ++c)
        all[static_cast<size_t>(c * layout.cols + r)] = row[static_cast<size_t>(c)];
    }
    return all;
  }

  const HeadCounts heads_;
  ThreadPool& pool_;
};

// What is written, from either kind of source.
struct Plan {
  GgufWriter writer;
  std::vector<ExportTensor> tensors;
  std::vector<std::pair<std::string, std::vector<float>>> rope_factors;
  HeadCounts heads;
  int64_t layers = 0;
  bool tied_head = false;
};

absl::Status PlanFolder(const HfFolder& folder, const Architecture& a, Plan* plan) {
  LASTRO_ASSIGN_OR_RETURN(std::string model_type, folder.config().GetString("model_type", ""));
  const GgufFamily* family =
      FindGgufFamilyOfModel(model_type, [&folder](absl::string_view name) { return folder.weights().Contains(name); });
  if (family == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat(folder.path(), ": models of type \"", model_type,
                     "\" are not written as GGUF; supported architectures: ", SupportedGgufArchitectures()));
  }
  LASTRO_RETURN_IF_ERROR(AddGgufMetadata(folder, *family, a, &plan->writer));
  LASTRO_ASSIGN_OR_RETURN(plan->tensors, GgufTensorsOf(folder, *family, a));
  plan->rope_factors = RopeFactors(a);
  plan->heads = {a.heads, a.kv_heads, a.head_dim};
  return absl::OkStatus();
}

// A GGUF file keeps its metadata and layout; only types change.
void PlanGguf(const GgufModel& model, Plan* plan) {
  for (const std::string& key : model.metadata().keys()) {
    if (key == "general.file_type" || key == "general.alignment" || key == "general.quantization_version") continue;
    plan->writer.AddRaw(key, model.metadata().TypedBytes(key));
  }
  for (const auto& [name, tensor] : model.stored_tensors()) plan->tensors.push_back({name, tensor});
}

absl::StatusOr<Plan> MakePlan(const ModelFiles& files, const Architecture& a) {
  Plan plan;
  plan.layers = a.layers;
  plan.tied_head = a.has_head && a.tied_head;
  if (const auto* gguf = dynamic_cast<const GgufModel*>(&files)) {
    PlanGguf(*gguf, &plan);
  } else {
    LASTRO_RETURN_IF_ERROR(PlanFolder(dynamic_cast<const HfFolder&>(files), a, &plan));
  }
  return plan;
}

absl::Status AddRopeFactors(Plan* plan) {
  for (const auto& [name, factors] : plan->rope_factors) {
    const std::vector<float>& values = factors;
    LASTRO_RETURN_IF_ERROR(plan->writer.AddTensor(
        name, StoredType::kF32, {static_cast<int64_t>(values.size())}, [&values](std::string* out) {
          out->assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
          return absl::OkStatus();
        }));
  }
  return absl::OkStatus();
}

absl::StatusOr<const Scheme*> FindScheme(const std::string& name) {
  for (const Scheme& scheme : kSchemes) {
    if (name == scheme.name) return &scheme;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("type \"", name, "\" is not known; known: ", absl::StrJoin(QuantizeTypes(), ", ")));
}

void Count(const Job& job, QuantizeSummary* summary) {
  const int64_t elements = job.tensor.source.elements();
  const BlockSize block = BlockOf(job.type);
  ++summary->tensors;
  summary->parameters += elements;
  summary->bytes_before += static_cast<int64_t>(job.tensor.source.data.size());
  summary->bytes_after += elements / block.elements * block.bytes;
  summary->parameters_of_type[std::string(NameOf(job.type))] += elements;
}

// The file at `path` is the model that `original` describes.
absl::Status CheckWritten(const std::string& path, const Architecture& original) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<GgufModel> model, GgufModel::Open(path));
  LASTRO_ASSIGN_OR_RETURN(Architecture written, ReadArchitecture(*model));
  return CheckSameModel(original, written);
}

}  // namespace

std::vector<std::string> QuantizeTypes() {
  std::vector<std::string> names;
  for (const Scheme& scheme : kSchemes) names.emplace_back(scheme.name);
  return names;
}

absl::StatusOr<QuantizeSummary> QuantizeModel(const std::string& in, const std::string& out,
                                              const QuantizeOptions& options, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(const Scheme* scheme, FindScheme(options.type));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<ModelFiles> files, OpenModel(in));
  LASTRO_ASSIGN_OR_RETURN(Architecture architecture, ReadArchitecture(*files));
  LASTRO_ASSIGN_OR_RETURN(Plan plan, MakePlan(*files, architecture));
  plan.writer.AddUint("general.file_type", scheme->file_type);
  plan.writer.AddUint("general.quantization_version", 2);
  ThreadPool pool(options.threads);
  const TensorWriter writer(plan.heads, &pool);
  QuantizeSummary summary;
  LASTRO_RETURN_IF_ERROR(AddRopeFactors(&plan));
  for (const ExportTensor& tensor : plan.tensors) {
    const Job job = {tensor, TypeFor(*scheme, tensor, plan.tied_head, plan.layers)};
    Count(job, &summary);
    LASTRO_RETURN_IF_ERROR(
        plan.writer.AddTensor(tensor.name, job.type, tensor.shape(), [&writer, &context, job](std::string* bytes) {
          LASTRO_RETURN_IF_ERROR(context.Check());
          return writer.Write(job, bytes);
        }));
  }
  const std::string unchecked = out + ".new.gguf";
  LASTRO_RETURN_IF_ERROR(plan.writer.Write(unchecked));
  absl::Status status = CheckWritten(unchecked, architecture);
  if (status.ok() && std::rename(unchecked.c_str(), out.c_str()) != 0) {
    status = ErrnoToStatus(errno, absl::StrCat("rename ", unchecked, " to ", out));
  }
  if (!status.ok()) {
    std::remove(unchecked.c_str());
    return status;
  }
  return summary;
}

}  // namespace lastro::engine
