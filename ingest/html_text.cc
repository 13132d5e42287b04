#include "ingest/html_text.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/call_context.h"
#include "base/utf8.h"
#include "ingest/html_tree.h"

namespace lastro::ingest {
namespace {

constexpr size_t kMaxReferenceBytes = 40;
constexpr size_t kMaxKnown = 10'000;
constexpr uint64_t kEntityMemoryBytes = 4u << 20;

// The text of the first text node of `html`; empty when there is none.
std::string FirstText(const std::string& html) {
  absl::StatusOr<HtmlTree> tree = HtmlTree::Parse(html, kEntityMemoryBytes, CallContext());
  if (!tree.ok()) return "";
  const GumboNode* node = tree->root();
  while (node->type == GUMBO_NODE_ELEMENT) {
    const GumboVector& children = node->v.element.children;
    if (children.length == 0) return "";
    node = static_cast<const GumboNode*>(children.data[children.length - 1]);  // html, body, text
  }
  return node->type == GUMBO_NODE_TEXT ? node->v.text.text : "";
}

// As the parser does with line ends: \r\n and \r are \n. Bytes of `raw` that make the line end at its start.
size_t LineEndLength(absl::string_view raw) {
  if (raw.empty() || raw[0] != '\r') return 0;
  return raw.size() > 1 && raw[1] == '\n' ? 2 : 1;
}

// Walks `decoded` and `raw` in step.
class Aligner {
 public:
  Aligner(absl::string_view decoded, absl::string_view raw, uint64_t begin, HtmlEntities* entities)
      : decoded_(decoded), raw_(raw), begin_(begin), entities_(entities) {}

  std::optional<MappedText> Run() {
    while (!decoded_.empty()) {
      if (raw_.empty()) return std::nullopt;
      if (!Reference() && !LineEnd() && !Equal() && !Tag()) return std::nullopt;
    }
    return out_.Finish();
  }

 private:
  void Advance(size_t decoded, size_t raw) {
    decoded_.remove_prefix(decoded);
    raw_.remove_prefix(raw);
    begin_ += raw;
  }

  bool Reference() {
    absl::string_view reference = ReferenceAt(raw_);
    if (reference.empty()) return false;
    const std::string& meaning = entities_->Decode(reference);
    if (meaning == reference || !absl::StartsWith(decoded_, meaning)) return false;
    out_.AppendChanged(meaning, begin_, reference.size());
    Advance(meaning.size(), reference.size());
    return true;
  }

  bool LineEnd() {
    size_t length = LineEndLength(raw_);
    if (length == 0 || decoded_[0] != '\n') return false;
    out_.AppendChanged("\n", begin_, length);
    Advance(1, length);
    return true;
  }

  // The longest equal run up to the next '&', '<' or '\r', at least one character.
  bool Equal() {
    size_t length = 0;
    size_t limit = std::min(decoded_.size(), raw_.size());
    while (length < limit && decoded_[length] == raw_[length]) {
      char c = raw_[length];
      if (length > 0 && (c == '&' || c == '<' || c == '\r')) break;
      ++length;
    }
    if (length == 0 || !IsRuneBoundary(raw_, length)) return false;
    out_.AppendVerbatim(raw_.substr(0, length), begin_);
    Advance(length, length);
    return true;
  }

  bool Tag() {
    if (raw_[0] != '<') return false;
    size_t end = raw_.find('>');
    if (end == absl::string_view::npos) return false;
    Advance(0, end + 1);
    return true;
  }

  absl::string_view decoded_;
  absl::string_view raw_;
  uint64_t begin_;
  HtmlEntities* entities_;
  MappedTextBuilder out_;
};

}  // namespace

absl::string_view ReferenceAt(absl::string_view raw) {
  if (raw.size() < 3 || raw[0] != '&') return raw.substr(0, 0);
  size_t length = raw[1] == '#' ? 2 : 1;
  while (length < raw.size() && length < kMaxReferenceBytes && absl::ascii_isalnum(raw[length])) ++length;
  if (length < raw.size() && raw[length] == ';') ++length;
  return length < 3 ? raw.substr(0, 0) : raw.substr(0, length);
}

const std::string& HtmlEntities::Decode(absl::string_view reference) {
  auto found = known_.find(reference);
  if (found != known_.end()) return found->second;
  if (known_.size() >= kMaxKnown) known_.clear();
  std::string key(reference);
  // White space at the start of a body is dropped, hence the letter before.
  std::string text = FirstText("<body>x" + key);
  std::string meaning = text.size() > 1 ? ReplaceInvalidUtf8(text.substr(1)) : key;
  return known_.emplace(std::move(key), std::move(meaning)).first->second;
}

MappedText AlignHtmlText(absl::string_view decoded, absl::string_view raw, uint64_t begin, HtmlEntities* entities) {
  // The parser makes no valid text of numbers that are too large for it.
  if (!IsValidUtf8(decoded)) return AlignHtmlText(ReplaceInvalidUtf8(decoded), raw, begin, entities);
  std::optional<MappedText> aligned = Aligner(decoded, raw, begin, entities).Run();
  if (aligned.has_value()) return *std::move(aligned);
  MappedTextBuilder whole;
  whole.AppendChanged(decoded, begin, raw.size());
  return whole.Finish();
}

}  // namespace lastro::ingest
