// QuantizeModel: writes a model as one GGUF file with weights of a chosen type. What the file says is read back and
// compared before it is kept, so that a model the format cannot express is refused and not changed in silence.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"

namespace lastro::engine {

struct QuantizeOptions {
  // f32, f16, bf16, q8_0, q4_0, q4_k_m, q5_k_m, q6_k or mxfp4. The mixed ones (_m) give q6_k to the tensors that cost
  // the most quality: values, half of the MLPs' outputs, and the head. Vectors, and tables of positions and types, stay
  // F32, as do the last maps of classifiers and readers. Rows that are not whole blocks of the type become Q8_0, or
  // else F16.
  std::string type = "q4_k_m";
  int threads = 0;  // 0: one per core
};

struct QuantizeSummary {
  int64_t tensors = 0;
  int64_t parameters = 0;
  int64_t bytes_before = 0;  // of the tensors
  int64_t bytes_after = 0;
  std::map<std::string, int64_t> parameters_of_type;  // such as {"Q4_K", 1000}
};

// The names that QuantizeOptions::type may have.
std::vector<std::string> QuantizeTypes();

// Reads the model at `in` (what OpenModel opens) and writes `out`, replacing a file of that name. INVALID_ARGUMENT: an
// unknown type, a weight that is not finite or too large for F16; UNIMPLEMENTED: a family without a GGUF architecture,
// or an option of the model that the format has no words for; CANCELLED and DEADLINE_EXCEEDED between tensors. On an
// error `out` is not written.
absl::StatusOr<QuantizeSummary> QuantizeModel(const std::string& in, const std::string& out,
                                              const QuantizeOptions& options, const CallContext& context);

}  // namespace lastro::engine
