#include "engine/tokenizers/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::engine::tokenizers {

struct Regex::Code {
  pcre2_code* code = nullptr;
  bool jit = false;
  ~Code() { pcre2_code_free(code); }
};

namespace {

constexpr size_t kMaxExpressionBytes = 16'384;
constexpr uint64_t kMatchLimit = 1'000'000;  // backtracking steps of one match, with
constexpr uint64_t kMatchLimitPerByte = 16;  // of the text
constexpr int kMaxFailures = 64;             // attempts that exceed a limit
constexpr uint32_t kHeapLimitKib = 65'536;
constexpr size_t kJitStackStartBytes = 32 * 1024;
constexpr size_t kJitStackMaxBytes = 1024 * 1024;

// What a thread needs to run matches: reused, so that a match allocates nothing.
struct MatchState {
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_jit_stack* jit_stack = pcre2_jit_stack_create(kJitStackStartBytes, kJitStackMaxBytes, nullptr);

  MatchState() {
    LASTRO_CHECK(context != nullptr && data != nullptr && jit_stack != nullptr, "out of memory");
    pcre2_set_heap_limit(context, kHeapLimitKib);
    pcre2_jit_stack_assign(context, nullptr, jit_stack);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
  ~MatchState() {
    pcre2_jit_stack_free(jit_stack);
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
};

MatchState& ThisThreadsState() {
  thread_local MatchState state;
  return state;
}

std::string Pcre2Message(int error) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(error, buffer, sizeof(buffer)) < 0) return absl::StrCat("error ", error);
  return reinterpret_cast<const char*>(buffer);
}

struct Found {
  enum class Kind { kMatch, kNone, kGaveUp };
  Kind kind = Kind::kNone;
  size_t begin = 0, end = 0;  // bytes, of a match
};

// The next match at or after `start`.
Found NextMatch(const pcre2_code* code, bool jit, absl::string_view text, size_t start) {
  MatchState& state = ThisThreadsState();
  pcre2_set_match_limit(state.context, static_cast<uint32_t>(std::min<uint64_t>(
                                           kMatchLimit + kMatchLimitPerByte * text.size(), UINT32_MAX)));
  auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int rc = jit ? pcre2_jit_match(code, subject, text.size(), start, 0, state.data, state.context)
               : pcre2_match(code, subject, text.size(), start, PCRE2_NO_UTF_CHECK, state.data, state.context);
  if (rc == PCRE2_ERROR_NOMATCH) return {};
  if (rc < 0) return {Found::Kind::kGaveUp, 0, 0};
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(state.data);
  if (ends[0] > ends[1] || ends[0] < start) return {};  // \K inside a look-around; never translated
  return {Found::Kind::kMatch, ends[0], ends[1]};
}

}  // namespace

absl::StatusOr<Regex> Regex::Compile(absl::string_view expression, absl::string_view where) {
  if (expression.size() > kMaxExpressionBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(where, ": regular expression of ", expression.size(),
                                                     " bytes; the limit is ", kMaxExpressionBytes));
  }
  LASTRO_ASSIGN_OR_RETURN(std::string translated, TranslateRegex(expression, where));
  int error = 0;
  PCRE2_SIZE position = 0;
  auto code = std::make_shared<Code>();
  code->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &position, nullptr);
  if (code->code == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": regular expression ", expression, ": ", Pcre2Message(error)));
  }
  code->jit = pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE) == 0;
  return Regex(std::move(code));
}

void Regex::ForEachMatch(absl::string_view text, absl::FunctionRef<void(uint32_t, uint32_t)> found) const {
  size_t start = 0;
  std::optional<size_t> previous_end;
  int failures = 0;
  auto step_over = [&] { start += start < text.size() ? DecodeRune(text.substr(start)).length : 1; };
  while (start <= text.size()) {
    const Found match = NextMatch(code_->code, code_->jit, text, start);
    if (match.kind == Found::Kind::kNone) return;
    if (match.kind == Found::Kind::kGaveUp) {
      if (++failures == kMaxFailures) return;
      step_over();
    } else if (match.begin == match.end && previous_end == match.end) {
      step_over();  // no empty match right after a match
    } else {
      found(static_cast<uint32_t>(match.begin), static_cast<uint32_t>(match.end));
      start = match.end;
      previous_end = match.end;
    }
  }
}

}  // namespace lastro::engine::tokenizers
