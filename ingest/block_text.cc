#include "ingest/block_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"

namespace lastro::ingest {
namespace {

bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }

}  // namespace

void BlockText::Text(absl::string_view piece, uint64_t begin) {
  size_t at = 0;
  while (at < piece.size()) {
    size_t end = at;
    bool space = IsSpace(piece[at]);
    while (end < piece.size() && IsSpace(piece[end]) == space) ++end;
    if (space) {
      Extend(Pending::kSpace, begin + at, end - at);
      pending_plain_ = pending_ == Pending::kSpace && pending_length_ == 1 && piece[at] == ' ';
    } else {
      FlushPending(begin + at);
      out_.AppendVerbatim(piece.substr(at, end - at), begin + at);
      source_end_ = begin + end;
    }
    at = end;
  }
}

void BlockText::Replaced(absl::string_view piece, uint64_t begin, uint64_t length) {
  if (piece.empty()) return;
  if (std::all_of(piece.begin(), piece.end(), IsSpace)) return Space(begin, length);
  FlushPending(begin);
  out_.AppendChanged(piece, begin, length);
  source_end_ = begin + length;
}

void BlockText::Space(uint64_t begin, uint64_t length) { Extend(Pending::kSpace, begin, length); }

void BlockText::LineBreak(uint64_t begin, uint64_t length) { Extend(Pending::kLine, begin, length); }

void BlockText::Preformatted(absl::string_view piece, uint64_t begin) {
  FlushPending(begin);
  out_.AppendVerbatim(piece, begin);
  source_end_ = begin + piece.size();
}

void BlockText::Separator(absl::string_view separator) {
  pending_ = Pending::kNone;
  ++separators_;
  if (!empty()) separator_.append(separator.data(), separator.size());
}

void BlockText::Extend(Pending kind, uint64_t begin, uint64_t length) {
  pending_plain_ = false;
  if (!separator_.empty()) return;  // white space behind a separator
  if (pending_ == Pending::kNone) {
    pending_ = kind;
    pending_begin_ = begin;
    pending_length_ = length;
    return;
  }
  pending_ = std::max(pending_, kind);
  if (length == 0) return;
  if (pending_length_ == 0) pending_begin_ = begin;
  uint64_t end = std::max(begin + length, pending_begin_ + pending_length_);
  pending_begin_ = std::min(pending_begin_, begin);
  pending_length_ = end - pending_begin_;
}

void BlockText::FlushPending(uint64_t next) {
  std::string separator = std::exchange(separator_, "");
  if (!fields_.empty() && !separator.empty()) fields_.back().end = out_.size();
  if (next > source_end_) {
    out_.AppendChanged(separator, source_end_, next - source_end_);
  } else {
    out_.AppendWithoutSource(separator);
  }
  if (fields_.empty() || !separator.empty()) fields_.push_back({out_.size(), 0, separators_});
  Pending pending = std::exchange(pending_, Pending::kNone);
  if (pending == Pending::kNone || empty()) return;
  absl::string_view written = pending == Pending::kLine ? "\n" : " ";
  if (pending_length_ == 0) {
    out_.AppendWithoutSource(written);
  } else if (pending_plain_) {
    out_.AppendVerbatim(written, pending_begin_);
  } else {
    out_.AppendChanged(written, pending_begin_, pending_length_);
  }
}

MappedText BlockText::Take(std::vector<Field>* fields) {
  pending_ = Pending::kNone;
  separator_.clear();
  MappedText taken = out_.Finish();
  out_ = MappedTextBuilder();
  size_t begin = 0, end = taken.text.size();
  // Leading spaces of a first preformatted line are indentation and stay.
  while (begin < end && taken.text[begin] == '\n') ++begin;
  while (end > begin && IsSpace(taken.text[end - 1])) --end;
  if (!fields_.empty()) fields_.back().end = end;
  if (fields != nullptr) *fields = std::move(fields_);
  fields_.clear();
  separators_ = 0;
  if (begin == 0 && end == taken.text.size()) return taken;
  return Slice(taken, begin, end);
}

}  // namespace lastro::ingest
