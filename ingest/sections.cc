#include "ingest/sections.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/sentence.h"

namespace lastro::ingest {
namespace {

constexpr size_t kMaxHeadingBytes = 300;

std::string OneLine(std::string line) {
  std::replace(line.begin(), line.end(), '\n', ' ');
  if (line.size() > kMaxHeadingBytes) {
    size_t end = kMaxHeadingBytes;
    while ((line[end] & 0xC0) == 0x80) --end;
    line.resize(end);
  }
  return line;
}

// Beside each block the last header row before it in its run of rows.
std::vector<const Block*> TableHeaders(const std::vector<const Block*>& blocks) {
  std::vector<const Block*> headers;
  const Block* header = nullptr;
  for (const Block* block : blocks) {
    if (header != nullptr && (block->kind != BlockKind::kTableRow || block->table != header->table)) header = nullptr;
    if (block->table_header) header = block;
    headers.push_back(header);
  }
  return headers;
}

// Beside each list item the block before its run of items, where that announces it.
std::vector<const Block*> ListAnnouncers(const std::vector<const Block*>& blocks) {
  std::vector<const Block*> announcers;
  const Block* announcer = nullptr;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i]->kind != BlockKind::kListItem) {
      announcer = nullptr;
    } else if (i > 0 && blocks[i - 1]->kind != BlockKind::kListItem) {
      announcer = Announces(*blocks[i - 1]) ? blocks[i - 1] : nullptr;
    }
    announcers.push_back(announcer);
  }
  return announcers;
}

// Collects sections while it keeps the path of open headings.
class SectionBuilder {
 public:
  void AddHeading(const Block& heading) {
    CloseSection();
    // Headings of this level and below end; the last of them, if nothing came under it, stands for itself.
    while (!path_.empty() && path_.back()->level >= heading.level) PopHeading();
    path_.push_back(&heading);
    has_content_ = false;
  }

  void AddBody(const Block& block) {
    has_content_ = true;
    current_.push_back(&block);
  }

  std::vector<Section> Finish() {
    CloseSection();
    if (!path_.empty()) PopHeading();
    return std::move(sections_);
  }

 private:
  void PopHeading() {
    const Block* heading = path_.back();
    path_.pop_back();
    if (std::exchange(has_content_, true)) return;
    current_.push_back(heading);
    CloseSection();
  }

  void CloseSection() {
    if (current_.empty()) return;
    Section section;
    for (const Block* heading : path_) section.headings.push_back(HeadingText(*heading));
    section.first_block = blocks_;
    section.blocks = std::exchange(current_, {});
    section.table_headers = TableHeaders(section.blocks);
    section.list_announcers = ListAnnouncers(section.blocks);
    blocks_ += section.blocks.size();
    sections_.push_back(std::move(section));
  }

  std::vector<Section> sections_;
  std::vector<const Block*> path_;
  std::vector<const Block*> current_;
  size_t blocks_ = 0;
  bool has_content_ = true;  // something came under the innermost heading
};

}  // namespace

std::vector<Section> SplitSections(const std::vector<Block>& blocks) {
  SectionBuilder builder;
  for (const Block& block : blocks) {
    block.kind == BlockKind::kHeading ? builder.AddHeading(block) : builder.AddBody(block);
  }
  return builder.Finish();
}

bool Announces(const Block& block) {
  if (block.kind == BlockKind::kListItem || block.kind == BlockKind::kTableRow) return false;
  return absl::EndsWith(absl::StripTrailingAsciiWhitespace(block.content.text), ":");
}

std::string HeadingText(const Block& block) { return OneLine(block.content.text); }

std::string LastSentence(const Block& block) {
  const std::string& text = block.content.text;
  const std::vector<TextRange> sentences = SplitSentences(text);
  return sentences.empty() ? OneLine(text) : OneLine(text.substr(sentences.back().begin));
}

}  // namespace lastro::ingest
