// WordEmbedding: an EmbeddingApi for tests without a model. Texts that share words have near vectors; tokens are words.
// It has two models, "words" (words-1) and "other words" (words-2). It can be held up and told to fail. Thread-safe.
#pragma once

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/synchronization/mutex.h"
#include "base/hash.h"
#include "services/api.h"

namespace lastro::services::testing {

class WordEmbedding : public EmbeddingApi {
 public:
  static constexpr int kDimension = 64;
  static constexpr int kOtherDimension = 48;
  static constexpr int kMaxTokens = 256;

  // While blocked, Embed waits until Unblock() or the end of its call.
  void Block() { Set(&blocked_, true); }
  void Unblock() { Set(&blocked_, false); }
  // Embed waits also once the model `fingerprint` has embedded so many texts of documents; until LetGo().
  void HoldAfter(const std::string& fingerprint, int texts) {
    absl::MutexLock lock(&mutex_);
    held_ = fingerprint;
    hold_after_ = texts;
  }
  void LetGo() { HoldAfter("", 0); }
  // Returns when an Embed is waiting.
  void AwaitBlockedCall() {
    absl::MutexLock lock(&mutex_);
    auto waiting = [this] { return waiting_ > 0; };
    mutex_.Await(absl::Condition(&waiting));
  }

  // How many documents' texts the model `fingerprint` has embedded.
  int embedded(const std::string& fingerprint) {
    absl::MutexLock lock(&mutex_);
    return embedded_[fingerprint];
  }

  // The roles of the texts embedded since the last call.
  std::set<v1::TextRole> TakeRoles() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(roles_, {});
  }

  absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest& request, const CallContext& context) override {
    const bool other = request.model() == "words-2" || request.model() == "other words";
    if (!other && !request.model().empty() && request.model() != "words-1" && request.model() != "words") {
      return absl::FailedPreconditionError("the embedding model " + request.model() + " is not here");
    }
    v1::EmbedResponse response;
    response.set_model(other ? "other words" : "words");
    response.set_fingerprint(other ? "words-2" : "words-1");
    response.set_dimension(other ? kOtherDimension : kDimension);
    if (absl::Status status = WaitWhileBlocked(response.fingerprint(), context); !status.ok()) return status;
    for (const std::string& text : request.texts()) {
      FillVector(response.fingerprint(), response.dimension(), text, response.add_vectors());
    }
    {
      absl::MutexLock lock(&mutex_);
      roles_.insert(request.role());
      if (request.role() == v1::DOCUMENT) embedded_[response.fingerprint()] += request.texts_size();
    }
    response.set_max_tokens(kMaxTokens);
    return response;
  }

  absl::StatusOr<v1::TokenizeTextsResponse> Tokenize(const v1::TokenizeTextsRequest& request,
                                                     const CallContext& context) override {
    if (absl::Status status = context.Check(); !status.ok()) return status;
    v1::TokenizeTextsResponse response;
    for (const std::string& text : request.texts()) {
      v1::TokenizeTextsResponse::Tokens* tokens = response.add_texts();
      for (const auto& [begin, end] : Words(text)) {
        tokens->add_begins(static_cast<uint32_t>(begin));
        tokens->add_ends(static_cast<uint32_t>(end));
      }
    }
    return response;
  }

  absl::StatusOr<v1::ClusterResponse> Cluster(const v1::ClusterRequest&, const CallContext&) override {
    return absl::UnimplementedError("words cannot be clustered");
  }

 private:
  static std::vector<std::pair<size_t, size_t>> Words(const std::string& text) {
    std::vector<std::pair<size_t, size_t>> words;
    for (size_t at = 0; at < text.size();) {
      size_t end = at;
      while (end < text.size() && !absl::ascii_isspace(static_cast<unsigned char>(text[end]))) ++end;
      if (end > at) words.emplace_back(at, end);
      at = end + 1;
    }
    return words;
  }

  static void FillVector(const std::string& fingerprint, int dimension, const std::string& text, v1::Vector* out) {
    std::vector<float> vector(static_cast<size_t>(dimension), 0.0f);
    vector[0] = 0.1f;  // never of no length
    for (const auto& [begin, end] : Words(text)) {
      vector[Hash64(fingerprint + absl::AsciiStrToLower(text.substr(begin, end - begin))) % vector.size()] += 1.0f;
    }
    double square = 0;
    for (float value : vector) square += static_cast<double>(value) * value;
    for (float value : vector) out->add_values(static_cast<float>(value / std::sqrt(square)));
  }

  absl::Status WaitWhileBlocked(const std::string& fingerprint, const CallContext& context) {
    absl::MutexLock lock(&mutex_);
    ++waiting_;
    auto free = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !blocked_ && !(fingerprint == held_ && embedded_[fingerprint] >= hold_after_);
    };
    absl::Status status = context.Check();
    while (status.ok() && !mutex_.AwaitWithTimeout(absl::Condition(&free), absl::Milliseconds(5))) {
      status = context.Check();
    }
    --waiting_;
    return status;
  }

  void Set(bool* flag, bool value) {
    absl::MutexLock lock(&mutex_);
    *flag = value;
  }

  absl::Mutex mutex_;
  std::set<v1::TextRole> roles_;
  std::map<std::string, int> embedded_;
  std::string held_;
  int hold_after_ = 0;
  bool blocked_ = false;
  int waiting_ = 0;
};

}  // namespace lastro::services::testing
