#include "engine/tokenizers/decoder.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/byte_level.h"
#include "engine/tokenizers/component.h"
#include "engine/tokenizers/pattern.h"

namespace lastro::engine::tokenizers {
namespace {

using Tokens = std::vector<std::string>;

class ByteLevel : public Decoder {
 public:
  void Apply(Tokens* tokens) const override {
    std::string joined;
    for (const std::string& token : *tokens) joined += BytesOf(token).value_or(token);
    *tokens = {std::move(joined)};
  }
};

class SpaceJoined : public Decoder {
 public:
  void Apply(Tokens* tokens) const override { *tokens = {absl::StrJoin(*tokens, " ")}; }
};

class Fuse : public Decoder {
 public:
  void Apply(Tokens* tokens) const override { *tokens = {absl::StrJoin(*tokens, "")}; }
};

// The reference's way from tokens to written English, one replacement after the other.
void CleanUp(std::string* token) {
  static constexpr std::pair<const char*, const char*> kReplacements[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& replacement : kReplacements) *token = absl::StrReplaceAll(*token, {replacement});
}

class WordPiece : public Decoder {
 public:
  WordPiece(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}

  void Apply(Tokens* tokens) const override {
    for (size_t i = 0; i < tokens->size(); ++i) {
      std::string& token = (*tokens)[i];
      if (i > 0) token = absl::StartsWith(token, prefix_) ? token.substr(prefix_.size()) : " " + token;
      if (cleanup_) CleanUp(&token);
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class ByteFallback : public Decoder {
 public:
  void Apply(Tokens* tokens) const override {
    Tokens out;
    std::string bytes;
    for (std::string& token : *tokens) {
      std::optional<char> byte = ByteOf(token);
      if (byte.has_value()) {
        bytes.push_back(*byte);
        continue;
      }
      Flush(&bytes, &out);
      out.push_back(std::move(token));
    }
    Flush(&bytes, &out);
    *tokens = std::move(out);
  }

 private:
  // The byte of "<0xHH>".
  static std::optional<char> ByteOf(const std::string& token) {
    if (token.size() != 6 || !absl::StartsWith(token, "<0x") || token[5] != '>') return std::nullopt;
    uint8_t byte = 0;
    auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
    if (error != std::errc() || end != token.data() + 5) return std::nullopt;
    return static_cast<char>(byte);
  }

  // Bytes that are no UTF-8 become one U+FFFD each.
  static void Flush(std::string* bytes, Tokens* out) {
    if (IsValidUtf8(*bytes)) {
      if (!bytes->empty()) out->push_back(*bytes);
    } else {
      for (size_t i = 0; i < bytes->size(); ++i) out->push_back("\uFFFD");
    }
    bytes->clear();
  }
};

// Takes up to `start` and `stop` copies of one character off the ends of each token.
class Strip : public Decoder {
 public:
  Strip(std::string content, int64_t start, int64_t stop) : content_(std::move(content)), start_(start), stop_(stop) {}

  void Apply(Tokens* tokens) const override {
    for (std::string& token : *tokens) {
      absl::string_view rest = token;
      for (int64_t i = 0; i < start_ && absl::StartsWith(rest, content_); ++i) rest.remove_prefix(content_.size());
      for (int64_t i = 0; i < stop_ && absl::EndsWith(rest, content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

class Replace : public Decoder {
 public:
  Replace(std::unique_ptr<Pattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void Apply(Tokens* tokens) const override {
    std::vector<Match> matches;
    for (std::string& token : *tokens) {
      pattern_->FindMatches(token, &matches);
      std::string replaced;
      for (const Match& match : matches) {
        replaced += match.is_match ? content_ : token.substr(match.begin, match.end - match.begin);
      }
      token = std::move(replaced);
    }
  }

 private:
  std::unique_ptr<Pattern> pattern_;
  std::string content_;
};

class Metaspace : public Decoder {
 public:
  Metaspace(std::string replacement, bool prepended) : replacement_(std::move(replacement)), prepended_(prepended) {}

  void Apply(Tokens* tokens) const override {
    for (size_t i = 0; i < tokens->size(); ++i) {
      absl::string_view space = i == 0 && prepended_ ? "" : " ";
      (*tokens)[i] = absl::StrReplaceAll((*tokens)[i], {{replacement_, space}});
    }
  }

 private:
  std::string replacement_;
  bool prepended_;
};

// Words end with a suffix, which becomes a space, but for the last token's.
class Bpe : public Decoder {
 public:
  explicit Bpe(std::string suffix) : suffix_(std::move(suffix)) {}

  void Apply(Tokens* tokens) const override {
    for (std::string& token : *tokens) {
      token = absl::StrReplaceAll(token, {{suffix_, &token == &tokens->back() ? "" : " "}});
    }
  }

 private:
  std::string suffix_;
};

// Connectionist temporal classification: equal neighbours are one, padding is nothing.
class Ctc : public Decoder {
 public:
  Ctc(std::string pad, std::string delimiter, bool cleanup)
      : pad_(std::move(pad)), delimiter_(std::move(delimiter)), cleanup_(cleanup) {}

  void Apply(Tokens* tokens) const override {
    tokens->erase(std::unique(tokens->begin(), tokens->end()), tokens->end());
    for (std::string& token : *tokens) {
      token = absl::StrReplaceAll(token, {{pad_, ""}});
      if (!cleanup_) continue;
      CleanUp(&token);
      token = absl::StrReplaceAll(token, {{delimiter_, " "}});
    }
  }

 private:
  std::string pad_, delimiter_;
  bool cleanup_;
};

class Sequence : public Decoder {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Decoder>> steps) : steps_(std::move(steps)) {}
  void Apply(Tokens* tokens) const override {
    for (const auto& step : steps_) step->Apply(tokens);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> steps_;
};

using Result = absl::StatusOr<std::unique_ptr<Decoder>>;

Result ParseWordPiece(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string prefix, component.GetString("prefix", "##"));
  LASTRO_ASSIGN_OR_RETURN(bool cleanup, component.GetBool("cleanup", true));
  return std::make_unique<WordPiece>(std::move(prefix), cleanup);
}

Result ParseStrip(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string content, component.GetString("content", " "));
  LASTRO_ASSIGN_OR_RETURN(int64_t start, component.GetInt("start", 0));
  LASTRO_ASSIGN_OR_RETURN(int64_t stop, component.GetInt("stop", 0));
  if (content.empty()) return absl::InvalidArgumentError(absl::StrCat(component.path(), ".content must not be empty"));
  return std::make_unique<Strip>(std::move(content), start, stop);
}

Result ParseReplace(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, ParsePattern(component));
  LASTRO_ASSIGN_OR_RETURN(std::string content, component.GetString("content", ""));
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}

Result ParseMetaspace(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string replacement, component.GetString("replacement", "\u2581"));
  LASTRO_ASSIGN_OR_RETURN(bool legacy, component.GetBool("add_prefix_space", true));
  LASTRO_ASSIGN_OR_RETURN(std::string scheme, component.GetString("prepend_scheme", legacy ? "always" : "never"));
  if (replacement.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(component.path(), ".replacement must not be empty"));
  }
  return std::make_unique<Metaspace>(std::move(replacement), scheme != "never");
}

// A string member that must not be empty.
absl::StatusOr<std::string> NonEmpty(const JsonValue& component, absl::string_view key, absl::string_view otherwise) {
  LASTRO_ASSIGN_OR_RETURN(std::string value, component.GetString(key, otherwise));
  if (!value.empty()) return value;
  return absl::InvalidArgumentError(absl::StrCat(component.path(), ".", key, " must not be empty"));
}

Result ParseBpe(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string suffix, NonEmpty(component, "suffix", "</w>"));
  return std::make_unique<Bpe>(std::move(suffix));
}

Result ParseCtc(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string pad, NonEmpty(component, "pad_token", "<pad>"));
  LASTRO_ASSIGN_OR_RETURN(std::string delimiter, NonEmpty(component, "word_delimiter_token", "|"));
  LASTRO_ASSIGN_OR_RETURN(bool cleanup, component.GetBool("cleanup", true));
  return std::make_unique<Ctc>(std::move(pad), std::move(delimiter), cleanup);
}

Result ParseSequence(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, ItemsOf(component, "decoders"));
  std::vector<std::unique_ptr<Decoder>> steps;
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Decoder> step, ParseDecoder(item));
    steps.push_back(std::move(step));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace

std::unique_ptr<Decoder> DefaultDecoder() { return std::make_unique<SpaceJoined>(); }

Result ParseDecoder(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(std::string type, TypeOf(component));
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "WordPiece") return ParseWordPiece(component);
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Strip") return ParseStrip(component);
  if (type == "Replace") return ParseReplace(component);
  if (type == "Metaspace") return ParseMetaspace(component);
  if (type == "BPEDecoder") return ParseBpe(component);
  if (type == "CTC") return ParseCtc(component);
  if (type == "Sequence") return ParseSequence(component);
  return UnsupportedType(component, type);
}

}  // namespace lastro::engine::tokenizers
