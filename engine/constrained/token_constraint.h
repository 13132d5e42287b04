// TokenConstraint: what may follow in a generated text. Not thread-safe; one per text.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace lastro::engine {

class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;

  // Sets the logits of the tokens that cannot follow to minus infinity; `end_ids`, those that end a text, may follow
  // where the text may end. FAILED_PRECONDITION when nothing can follow; RESOURCE_EXHAUSTED when the constraint has
  // become too complex.
  virtual absl::Status Mask(absl::Span<const int32_t> end_ids, absl::Span<float> logits) = 0;

  // Goes on behind token `id`. INVALID_ARGUMENT when it cannot follow.
  virtual absl::Status Accept(int32_t id) = 0;

  virtual bool MayEnd() const = 0;   // the text may end here
  virtual bool MustEnd() const = 0;  // and nothing else may follow
};

}  // namespace lastro::engine
