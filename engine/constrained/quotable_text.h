// QuotableText: what may be quoted from some passages: runs of their bytes that begin at the beginning of a word or of
// a mark between words, and may end where one ends; or, by sentences, where a line, or a sentence by its mark, begins and
// ends. A number with its decimals is one word. Const once built, thread-safe.
//
// The beginnings are sorted by what follows them (a suffix array of them), so that all places where a run stands are
// neighbours and going on by a byte is a binary search.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lastro::engine::constrained {

class QuotableText {
 public:
  // Behind a run of so many bytes only the first place that it stands in is followed.
  static constexpr uint32_t kComparedBytes = 256;
  // Stands between the passages and is in no run.
  static constexpr char kBarrier = '[';

  // The places where one run of bytes stands. Plain data.
  struct Run {
    uint32_t first = 0;  // of the sorted beginnings, [first, last)
    uint32_t last = 0;
    uint32_t length = 0;  // bytes
    bool empty() const { return first == last; }
    friend bool operator==(const Run& a, const Run& b) {
      return a.first == b.first && a.last == b.last && a.length == b.length;
    }
    template <typename H>
    friend H AbslHashValue(H h, const Run& r) {
      return H::combine(std::move(h), r.first, r.last, r.length);
    }
  };

  // Bytes that are not valid UTF-8 cannot be quoted. REQUIRES: less than 4 GiB together.
  explicit QuotableText(absl::Span<const std::string> passages, bool by_sentences = false);

  // All passages, a barrier behind each.
  const std::string& text() const { return text_; }
  // Of each byte of text(): whether a quote may end before it.
  const std::vector<bool>& ends() const { return ends_; }

  // The run of no bytes, at all places where a quote may begin.
  Run Beginnings() const { return {0, static_cast<uint32_t>(beginnings_.size()), 0}; }
  // `run` and one byte more; empty where it stands nowhere.
  Run Extend(const Run& run, uint8_t byte) const;
  // Whether `marks`, of the bytes of text(), has the byte behind `run` somewhere.
  bool AnyBehind(const Run& run, const std::vector<bool>& marks) const;

 private:
  void Add(absl::string_view passage, bool by_sentences);

  std::string text_;
  std::vector<bool> ends_;
  std::vector<uint32_t> beginnings_;  // sorted by the text from there
};

}  // namespace lastro::engine::constrained
