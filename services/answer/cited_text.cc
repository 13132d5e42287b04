#include "services/answer/cited_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kMaxDigits = 6;

}  // namespace

void CitationFilter::Show(absl::string_view text, std::string* shown) {
  if (shown_bytes_ == 0) text = absl::StripLeadingAsciiWhitespace(text);
  shown->append(text.data(), text.size());
  shown_bytes_ += text.size();
}

void CitationFilter::Take(char c, std::string* shown) {
  const size_t open = held_.find('[');
  if (open != std::string::npos) {
    const absl::string_view digits = absl::string_view(held_).substr(open + 1);
    if (absl::ascii_isdigit(static_cast<unsigned char>(c)) && digits.size() < kMaxDigits) {
      held_.push_back(c);
      return;
    }
    int number = 0;
    if (c == ']' && absl::SimpleAtoi(digits, &number)) {
      if (number >= 1 && number <= passages_) named_.push_back({shown_bytes_, number - 1});
      held_.clear();
      return;
    }
  }
  const bool may_go_on = c == ' ' || c == '[';
  if (!may_go_on || open != std::string::npos) {
    Show(held_, shown);
    held_.clear();
  }
  if (may_go_on) {
    held_.push_back(c);
  } else {
    Show(absl::string_view(&c, 1), shown);
  }
}

std::string CitationFilter::Push(absl::string_view piece) {
  std::string shown;
  for (char c : piece) Take(c, &shown);
  return shown;
}

}  // namespace lastro::services::answer
