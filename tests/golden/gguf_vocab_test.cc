// GGUF vocabularies against the vectors that llama.cpp publishes beside them (models/ggml-vocab-*.gguf, .gguf.inp and
// .gguf.out: the ids that each model's own tokenizer gives). The files are too large for this checkout.
#include <cstdlib>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "engine/gguf_tokenizer.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"

namespace lastro::engine {
namespace {

constexpr char kHowToGet[] =
    "set LASTRO_GGUF_VOCABS to the folder models/ of llama.cpp's sources (PyPI's llama-cpp-python carries them) to "
    "check GGUF vocabularies";
constexpr char kSeparator[] = "\n__ggml_vocab_test__\n";

std::vector<std::string> VocabulariesWithVectors(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (entry.path().extension() == ".gguf" && std::filesystem::exists(path + ".out")) paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<int32_t> ParseIds(absl::string_view line) {
  std::vector<int32_t> ids;
  for (absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
    int32_t id = 0;
    EXPECT_TRUE(absl::SimpleAtoi(word, &id)) << word;
    ids.push_back(id);
  }
  return ids;
}

void CheckVectors(const std::string& path) {
  SCOPED_TRACE(path);
  ASSERT_OK_AND_ASSIGN(MappedFile file, MappedFile::Open(path));
  ASSERT_OK_AND_ASSIGN(GgufContents contents, ParseGguf(file.bytes(), path));
  ASSERT_OK_AND_ASSIGN(auto tokenizer, LoadGgufTokenizer(contents.metadata));
  ASSERT_OK_AND_ASSIGN(std::string input, ReadFile(path + ".inp", 1 << 20));
  ASSERT_OK_AND_ASSIGN(std::string output, ReadFile(path + ".out", 1 << 20));
  const std::vector<std::string> texts = absl::StrSplit(input, kSeparator);
  const std::vector<std::string> lines = absl::StrSplit(output, '\n');
  ASSERT_EQ(texts.size(), lines.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer->Encode(texts[i], {.add_special = false}), ParseIds(lines[i])) << "text " << i;
  }
}

TEST(GgufVocabularies, GiveThePublishedIds) {
  const char* folder = std::getenv("LASTRO_GGUF_VOCABS");
  if (folder == nullptr) GTEST_SKIP() << kHowToGet;
  const std::vector<std::string> paths = VocabulariesWithVectors(folder);
  ASSERT_FALSE(paths.empty()) << folder;
  for (const std::string& path : paths) CheckVectors(path);
}

}  // namespace
}  // namespace lastro::engine
