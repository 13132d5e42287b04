// Arguments: the evaluated arguments of a call, filter or test. Value type.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/chat/value.h"

namespace lastro::engine::chat {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;

  const Value* Keyword(absl::string_view name) const;
  // The argument at `position`, or given by `name`; nullptr when absent.
  const Value* Find(size_t position, absl::string_view name) const;

  // INVALID_ARGUMENT unless there are `least` to `most` positional arguments and all keywords are in `names`. `what`
  // opens the message.
  absl::Status Check(absl::string_view what, size_t least, size_t most,
                     absl::Span<const absl::string_view> names = {}) const;

  // The argument as an integer, string or boolean; `otherwise` when it is absent; INVALID_ARGUMENT for another type.
  absl::StatusOr<int64_t> Int(size_t position, absl::string_view name, int64_t otherwise) const;
  absl::StatusOr<Text> String(size_t position, absl::string_view name, absl::string_view otherwise) const;
  absl::StatusOr<bool> Bool(size_t position, absl::string_view name, bool otherwise) const;

  // Without the first `count` positional ones. REQUIRES: there are as many.
  Arguments After(size_t count) const;
};

}  // namespace lastro::engine::chat
