// GgufWeights: the tensors of a GGUF file under their Hugging Face names and in that layout, but for transposed ones,
// which stay [out, in]: the configuration says so. Tensors that the format
// does not change are views of the mapped file; reordered rows and changed norms are copies held here. Const after
// Create and thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "engine/gguf.h"
#include "engine/gguf_family.h"
#include "engine/tensor_file.h"

namespace lastro::engine {

class GgufWeights : public TensorFile {
 public:
  // `tensors` are views of `file`. A tensor whose name is not in the family's table keeps its own. INVALID_ARGUMENT
  // names a tensor whose rows do not fit `heads`, a norm that is not F32, or two tensors that get the same name.
  static absl::StatusOr<std::unique_ptr<GgufWeights>> Create(
      MappedFile file, std::string path, const GgufFamily& family, const HeadCounts& heads,
      const std::vector<std::pair<std::string, StoredTensor>>& tensors);

  absl::StatusOr<const StoredTensor*> Find(absl::string_view name) const override;
  bool Contains(absl::string_view name) const override { return tensors_.contains(name); }
  const std::vector<std::string>& names() const override { return names_; }
  absl::Span<const MappedFile> files() const override { return absl::MakeConstSpan(&file_, 1); }
  const std::string& path() const override { return path_; }
  void ForgetReplaced() const override;  // the metadata too

 private:
  GgufWeights(MappedFile file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  absl::Status Add(const std::string& gguf_name, const GgufTensorMatch& match, const HeadCounts& heads,
                   StoredTensor tensor);
  absl::Status AddExperts(const std::string& gguf_name, const std::string& hf_name, const StoredTensor& tensor);
  absl::Status ReorderRows(const std::string& name, GgufChange change, const HeadCounts& heads, StoredTensor* tensor);
  absl::Status SubtractOne(const std::string& name, StoredTensor* tensor);
  // Room for what will stand for `replaced`.
  absl::Span<uint8_t> NewCopy(absl::Span<const uint8_t> replaced);

  const MappedFile file_;
  const std::string path_;
  std::vector<std::vector<uint8_t>> copies_;
  std::vector<absl::Span<const uint8_t>> replaced_;  // of the file, by them and by what its reader made of it
  absl::flat_hash_map<std::string, StoredTensor> tensors_;
  std::vector<std::string> names_;
};

}  // namespace lastro::engine
