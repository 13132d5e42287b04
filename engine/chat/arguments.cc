#include "engine/chat/arguments.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace lastro::engine::chat {
namespace {

absl::Status WrongType(absl::string_view name, absl::string_view wanted, const Value& value) {
  return absl::InvalidArgumentError(
      absl::StrCat("the argument '", name, "' must be ", wanted, ", not ", value.KindName()));
}

}  // namespace

const Value* Arguments::Keyword(absl::string_view name) const {
  for (const auto& [keyword, value] : keywords) {
    if (keyword == name) return &value;
  }
  return nullptr;
}

const Value* Arguments::Find(size_t position, absl::string_view name) const {
  return position < positional.size() ? &positional[position] : Keyword(name);
}

absl::Status Arguments::Check(absl::string_view what, size_t least, size_t most,
                              absl::Span<const absl::string_view> names) const {
  for (const auto& [keyword, value] : keywords) {
    if (std::find(names.begin(), names.end(), keyword) == names.end()) {
      return absl::InvalidArgumentError(absl::StrCat(what, " takes no argument '", keyword, "'"));
    }
  }
  if (positional.size() >= least && positional.size() <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " takes ", least == most ? "" : absl::StrCat(least, " to "),
                                                 most, " arguments, not ", positional.size()));
}

absl::StatusOr<int64_t> Arguments::Int(size_t position, absl::string_view name, int64_t otherwise) const {
  const Value* value = Find(position, name);
  if (value == nullptr) return otherwise;
  if (value->AsInt() == nullptr && value->AsBool() == nullptr) return WrongType(name, "an integer", *value);
  return value->ToInt();
}

absl::StatusOr<Text> Arguments::String(size_t position, absl::string_view name, absl::string_view otherwise) const {
  const Value* value = Find(position, name);
  if (value == nullptr) return Text(otherwise, true);
  if (value->AsText() == nullptr) return WrongType(name, "a string", *value);
  return *value->AsText();
}

absl::StatusOr<bool> Arguments::Bool(size_t position, absl::string_view name, bool otherwise) const {
  const Value* value = Find(position, name);
  return value == nullptr ? otherwise : value->Truth();
}

Arguments Arguments::After(size_t count) const {
  return {{positional.begin() + static_cast<ptrdiff_t>(count), positional.end()}, keywords};
}

}  // namespace lastro::engine::chat
