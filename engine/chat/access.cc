#include "engine/chat/access.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/chat/methods.h"

namespace lastro::engine::chat {
namespace {

Value Method(const Value& receiver, absl::string_view name) {
  return Value(Builtin{std::string(name), std::make_shared<const Value>(receiver)});
}

// nullopt when a loop has no such attribute.
std::optional<Value> LoopAttribute(const Loop& loop, absl::string_view name) {
  const int64_t index = static_cast<int64_t>(loop.index), length = static_cast<int64_t>(loop.items.size());
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(length - index);
  if (name == "revindex0") return Value(length - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index == length - 1);
  if (name == "length") return Value(length);
  // Deeper only inside recursive loops, which there are none of.
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem") return index > 0 ? loop.items[loop.index - 1] : Value::MissingName("loop.previtem");
  if (name == "nextitem") return index + 1 < length ? loop.items[loop.index + 1] : Value::MissingName("loop.nextitem");
  return std::nullopt;
}

absl::Status OfUndefined(const Value& value, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("'", value.MissingWhat(), "' is undefined, so it has no ", what));
}

Value IndexInto(const Value& value, int64_t index) {
  const Text* text = value.AsText();
  const std::vector<size_t> offsets = text != nullptr ? text->Offsets() : std::vector<size_t>();
  const int64_t length = static_cast<int64_t>(text != nullptr ? offsets.size() - 1 : value.AsList()->items.size());
  if (index < 0) index += length;
  if (index < 0 || index >= length) return Value::MissingName(absl::StrCat("item ", index));
  const size_t at = static_cast<size_t>(index);
  return text != nullptr ? Value(text->Substring(offsets[at], offsets[at + 1])) : value.AsList()->items[at];
}

// The indices that a slice of `length` items takes, in order.
std::vector<size_t> SliceIndices(int64_t length, std::optional<int64_t> start, std::optional<int64_t> stop,
                                 int64_t step) {
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? length : length - 1;
  auto bound = [&](std::optional<int64_t> index, int64_t otherwise) {
    if (!index) return otherwise;
    const int64_t from_start = *index < 0 ? std::max<int64_t>(*index, -length - 1) + length : *index;
    return std::clamp(from_start, low, high);
  };
  std::vector<size_t> indices;
  const int64_t first = bound(start, step > 0 ? low : high), end = bound(stop, step > 0 ? high : low);
  step = std::clamp(step, -length - 1, length + 1);
  for (int64_t i = first; step > 0 ? i < end : i > end; i += step) indices.push_back(static_cast<size_t>(i));
  return indices;
}

}  // namespace

absl::StatusOr<Value> GetAttribute(const Value& value, absl::string_view name) {
  if (value.is_undefined()) return OfUndefined(value, absl::StrCat("attribute '", name, "'"));
  if (const Namespace* space = value.AsNamespace()) {
    auto field = space->fields.find(name);
    return field == space->fields.end() ? Value::MissingName(name) : field->second;
  }
  if (const Loop* loop = value.AsLoop()) {
    if (name == "cycle") return Method(value, name);
    std::optional<Value> attribute = LoopAttribute(*loop, name);
    return attribute ? *attribute : Value::MissingName(absl::StrCat("loop.", name));
  }
  if (HasMethod(value, name)) return Method(value, name);
  const Value* member = value.Find(name);
  return member != nullptr ? *member : Value::MissingName(name);
}

absl::StatusOr<Value> GetItem(const Value& value, const Value& key) {
  if (const Text* name = key.AsText()) {
    if (const Value* member = value.Find(name->bytes())) return *member;
    return GetAttribute(value, name->bytes());
  }
  if (value.is_undefined()) return OfUndefined(value, "items");
  if ((value.AsText() || value.AsList()) && (key.AsInt() || key.AsBool())) return IndexInto(value, key.ToInt());
  return Value::MissingName(absl::StrCat("item of ", value.KindName()));
}

absl::StatusOr<Value> GetSlice(const Value& value, std::optional<int64_t> start, std::optional<int64_t> stop,
                               std::optional<int64_t> step, Budget* budget) {
  if (step == 0) return absl::InvalidArgumentError("a slice with a step of 0");
  const Text* text = value.AsText();
  if (text == nullptr && value.AsList() == nullptr) {
    if (value.is_undefined()) return OfUndefined(value, "slices");
    return absl::InvalidArgumentError(absl::StrCat(value.KindName(), " cannot be sliced"));
  }
  LASTRO_RETURN_IF_ERROR(budget->Write(value.weight()));
  const std::vector<size_t> offsets = text != nullptr ? text->Offsets() : std::vector<size_t>();
  const size_t length = text != nullptr ? offsets.size() - 1 : value.AsList()->items.size();
  const std::vector<size_t> indices = SliceIndices(static_cast<int64_t>(length), start, stop, step.value_or(1));
  LASTRO_RETURN_IF_ERROR(budget->Step(static_cast<int64_t>(indices.size())));
  if (text != nullptr) {
    if (step.value_or(1) == 1) {
      return Value(indices.empty() ? Text() : text->Substring(offsets[indices.front()], offsets[indices.back() + 1]));
    }
    Text out;
    for (size_t i : indices) out.Append(text->Substring(offsets[i], offsets[i + 1]));
    return Value(std::move(out));
  }
  std::vector<Value> items;
  for (size_t i : indices) items.push_back(value.AsList()->items[i]);
  return Value::MakeList(std::move(items), value.AsList()->tuple);
}

absl::StatusOr<Value> CallMethod(const Value& receiver, absl::string_view name, const Arguments& arguments,
                                 Budget* budget) {
  if (const Loop* loop = receiver.AsLoop()) {
    LASTRO_RETURN_IF_ERROR(arguments.Check("loop.cycle", 1, SIZE_MAX));
    return arguments.positional[loop->index % arguments.positional.size()];
  }
  if (const Text* text = receiver.AsText()) return CallTextMethod(*text, name, arguments, budget);
  if (receiver.AsList() != nullptr) return CallListMethod(receiver, name, arguments, budget);
  return CallDictMethod(receiver, name, arguments);
}

}  // namespace lastro::engine::chat
