// Value: what a template's expressions compute with: Python's None, bool, int, float, str, list and dict, an undefined
// value, and things that can be called. Lists and dicts never change once made (templates run in an immutable sandbox
// in the reference as well); only a namespace() does. Cheap to copy; reads are thread-safe.
//
// A value nests at most kMaxValueDepth deep and, counting a part once for each place it stands in, holds at most
// kMaxValueWeight bytes and items, so that functions over values may recurse and end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "engine/chat/text.h"

namespace lastro::engine::chat {

inline constexpr int kMaxValueDepth = 200;
inline constexpr int64_t kMaxValueWeight = int64_t{256} << 20;

class Value;
struct Macro;      // interpreter.h
struct Loop;       // interpreter.h
struct Namespace;  // below

struct Undefined {
  std::string name;  // what was looked for
};

struct List {
  std::vector<Value> items;
  bool tuple = false;  // only its printed form differs
  int depth = 1;
  int64_t weight = 1;
};

// Keys in the order of insertion.
struct Dict {
  std::vector<std::pair<Text, Value>> items;
  absl::flat_hash_map<std::string, size_t> index;
  int depth = 1;
  int64_t weight = 1;
};

// A function of the language, or with a receiver a method of it.
struct Builtin {
  std::string name;
  std::shared_ptr<const Value> receiver;
};

class Value {
 public:
  Value() = default;  // undefined
  explicit Value(bool value) : data_(value) {}
  explicit Value(int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(Text text) : data_(std::make_shared<const Text>(std::move(text))) {}
  explicit Value(Namespace* space) : data_(space) {}
  explicit Value(const Macro* macro) : data_(macro) {}
  explicit Value(const Loop* loop) : data_(loop) {}
  explicit Value(Builtin builtin) : data_(std::make_shared<const Builtin>(std::move(builtin))) {}
  static Value None();
  static Value MissingName(absl::string_view name);

  // RESOURCE_EXHAUSTED when the result nests too deep or is too large. Of equal keys the last value wins, at the place
  // of the first.
  static absl::StatusOr<Value> MakeList(std::vector<Value> items, bool tuple = false);
  static absl::StatusOr<Value> MakeDict(std::vector<std::pair<Text, Value>> items);

  // From JSON, or from plain text; all strings, keys included, are untrusted. INVALID_ARGUMENT: an integer beyond
  // int64.
  static absl::StatusOr<Value> FromJson(const JsonValue& json);
  static Value Untrusted(absl::string_view text) { return Value(Text(text, false)); }

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<NoneType>(data_); }
  const bool* AsBool() const { return std::get_if<bool>(&data_); }
  const int64_t* AsInt() const { return std::get_if<int64_t>(&data_); }
  const double* AsFloat() const { return std::get_if<double>(&data_); }
  const Text* AsText() const { return Pointee<Text>(); }
  const List* AsList() const { return Pointee<List>(); }
  const Dict* AsDict() const { return Pointee<Dict>(); }
  const Builtin* AsBuiltin() const { return Pointee<Builtin>(); }
  Namespace* AsNamespace() const { return Raw<Namespace*>(); }
  const Macro* AsMacro() const { return Raw<const Macro*>(); }
  const Loop* AsLoop() const { return Raw<const Loop*>(); }

  bool is_number() const { return AsBool() || AsInt() || AsFloat(); }
  // bool, int and float as a number. REQUIRES: is_number().
  double ToDouble() const;
  // bool and int. REQUIRES: AsBool() or AsInt().
  int64_t ToInt() const;

  // The value of key `key` of a dict; nullptr when absent or no dict.
  const Value* Find(absl::string_view key) const;
  bool Truth() const;
  int depth() const;
  // Bytes and items within: what it costs to print or compare the value.
  int64_t weight() const;
  // Such as "a list", for messages.
  std::string KindName() const;
  // What was looked for, of an undefined value.
  const std::string& MissingWhat() const { return std::get<Undefined>(data_).name; }

 private:
  struct NoneType {};
  using Data =
      std::variant<Undefined, NoneType, bool, int64_t, double, std::shared_ptr<const Text>, std::shared_ptr<const List>,
                   std::shared_ptr<const Dict>, std::shared_ptr<const Builtin>, Namespace*, const Macro*, const Loop*>;
  explicit Value(Data data) : data_(std::move(data)) {}

  template <typename T>
  const T* Pointee() const {
    const auto* pointer = std::get_if<std::shared_ptr<const T>>(&data_);
    return pointer != nullptr ? pointer->get() : nullptr;
  }
  template <typename T>
  T Raw() const {
    const T* pointer = std::get_if<T>(&data_);
    return pointer != nullptr ? *pointer : nullptr;
  }

  Data data_;
};

// What `namespace(...)` makes; owned by the rendering that made it.
struct Namespace {
  absl::flat_hash_map<std::string, Value> fields;
};

// Python's ==. Lists and tuples with equal items are equal here.
bool Equal(const Value& a, const Value& b);

// Python's str() and repr().
Text ToText(const Value& value);
Text ToRepr(const Value& value);
// The shortest decimal that reads back as `value`, as Python writes floats.
std::string FloatToString(double value);

}  // namespace lastro::engine::chat
