#include "services/answer/passage_lists.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/list_marker.h"
#include "retrieval/search_terms.h"
#include "retrieval/word_breaker.h"
#include "services/answer/negation.h"

namespace lastro::services::answer {
namespace {

constexpr absl::string_view kBetweenParagraphs = "\n\n";  // lines of one list have one break between them

absl::string_view TextOf(absl::string_view text, TextRange range) {
  return text.substr(range.begin, range.end - range.begin);
}

std::vector<TextRange> ParagraphsOf(absl::string_view text) {
  std::vector<TextRange> paragraphs;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(kBetweenParagraphs, begin), text.size());
    if (end > begin) paragraphs.push_back({begin, end});
    begin = end + kBetweenParagraphs.size();
  }
  return paragraphs;
}

// The lines of a paragraph; where the first has a marker, those without one are part of the item before them.
std::vector<TextRange> ItemsOf(absl::string_view text, TextRange paragraph) {
  const bool marked = ListMarkerLength(TextOf(text, paragraph)) > 0;
  std::vector<TextRange> items;
  for (size_t begin = paragraph.begin; begin < paragraph.end;) {
    const size_t end = std::min(text.find('\n', begin), paragraph.end);
    if (items.empty() || !marked || ListMarkerLength(text.substr(begin, end - begin)) > 0) {
      items.push_back({begin, end});
    } else {
      items.back().end = end;
    }
    begin = end + 1;
  }
  return items;
}

// The last sentence of a paragraph, where it announces what follows: items with markers, or any lines.
TextRange AnnouncementIn(absl::string_view text, TextRange paragraph, bool of_marked) {
  const bool has_colon = absl::EndsWith(TextOf(text, paragraph), ":");
  if ((!has_colon && !of_marked) || ListMarkerLength(TextOf(text, paragraph)) > 0) return {};
  const std::vector<TextRange> sentences = SplitSentences(TextOf(text, paragraph));
  if (sentences.empty()) return {};
  const TextRange last{paragraph.begin + sentences.back().begin, paragraph.begin + sentences.back().end};
  return has_colon || Points(TextOf(text, last)) ? last : TextRange();
}

bool HasCell(const v1::Chunk& chunk, TextRange paragraph) {
  return std::any_of(chunk.cells().begin(), chunk.cells().end(), [&](const v1::NamedCell& cell) {
    return cell.begin() < static_cast<int64_t>(paragraph.end) && cell.end() > static_cast<int64_t>(paragraph.begin);
  });
}

// The passage of the chunk that is `steps` behind the chunk of `hit` in its document; -1 where there is none.
int Neighbour(const v1::SearchHit& hit, int steps, absl::Span<const v1::SearchHit> passages) {
  const int64_t ordinal = int64_t{hit.chunk().ordinal()} + steps;  // another process may say any number
  for (size_t i = 0; i < passages.size(); ++i) {
    const bool same = passages[i].document().id() == hit.document().id();
    if (same && passages[i].chunk().ordinal() == ordinal) return static_cast<int>(i);
  }
  return -1;
}

// Whether the list that ends the chunk `first` goes on where `second`, the chunk behind it, begins.
bool GoesOn(const v1::Chunk& first, const v1::Chunk& second) {
  const std::vector<PassageList> ending = ListsOf(first), beginning = ListsOf(second);
  if (ending.empty() || ending.back().items.back().end != first.text().size()) return false;
  if (beginning.empty() || beginning.front().items.front().begin != 0) return false;
  if (!ending.back().IsAnnounced()) {
    return std::equal(first.headings().begin(), first.headings().end(), second.headings().begin(),
                      second.headings().end());
  }
  const absl::string_view announcement = TextOf(first.text(), ending.back().announcement);
  return std::find(second.headings().begin(), second.headings().end(), announcement) != second.headings().end();
}

}  // namespace

ListPart PartOf(const PassageList& list, int passage) {
  const TextRange items = list.Items();
  return {passage, items, {list.IsAnnounced() ? list.announcement.begin : items.begin, items.end}};
}

std::vector<ListPart> PartsOf(const PassageList& list, int passage, absl::Span<const v1::SearchHit> passages) {
  const auto hit = [&](int i) -> const v1::SearchHit& { return passages[static_cast<size_t>(i)]; };
  std::vector<ListPart> before, behind;
  const auto add_neighbours = [&](int steps, std::vector<ListPart>* parts) {
    for (int at = passage, next; (next = Neighbour(hit(at), steps, passages)) >= 0; at = next) {
      const v1::Chunk& chunk = hit(next).chunk();
      if (!(steps < 0 ? GoesOn(chunk, hit(at).chunk()) : GoesOn(hit(at).chunk(), chunk))) break;
      const std::vector<PassageList> lists = ListsOf(chunk);
      parts->push_back(PartOf(steps < 0 ? lists.back() : lists.front(), next));
      const TextRange items = parts->back().items;
      if (steps < 0 ? items.begin > 0 : items.end < chunk.text().size()) break;
    }
  };
  if (list.items.front().begin == 0) add_neighbours(-1, &before);
  std::reverse(before.begin(), before.end());
  before.push_back(PartOf(list, passage));
  if (list.items.back().end == hit(passage).chunk().text().size()) add_neighbours(1, &behind);
  before.insert(before.end(), behind.begin(), behind.end());
  return before;
}

std::vector<PassageList> ListsOf(const v1::Chunk& chunk) {
  const absl::string_view text = chunk.text();
  std::vector<PassageList> lists;
  TextRange before;  // the paragraph
  TextRange passed;  // what announces `before`, which only announces in its turn
  for (const TextRange& paragraph : ParagraphsOf(text)) {
    PassageList list;
    const bool marked = ListMarkerLength(TextOf(text, paragraph)) > 0;
    if (before.end > before.begin) list.announcement = AnnouncementIn(text, before, marked);
    if (list.IsAnnounced() && passed.end > passed.begin) list.announcement.begin = passed.begin;
    const bool passes_on = !marked && list.IsAnnounced() && absl::EndsWith(TextOf(text, paragraph), ":");
    passed = passes_on ? list.announcement : TextRange();
    before = paragraph;
    if (passes_on || (!marked && !list.IsAnnounced()) || HasCell(chunk, paragraph)) continue;
    list.items = ItemsOf(text, paragraph);
    if (list.items.size() > 1 || list.IsAnnounced()) lists.push_back(std::move(list));
  }
  return lists;
}

bool DeniesItems(absl::string_view question, absl::string_view text, const ListPart& part) {
  absl::string_view announcement = text.substr(part.cited.begin, part.items.begin - part.cited.begin);
  announcement = absl::StripTrailingAsciiWhitespace(announcement);
  absl::ConsumeSuffix(&announcement, ":");
  return LosesNegation(question, announcement);
}

bool Points(absl::string_view words) {
  static const auto* const pointers = new absl::flat_hash_set<absl::string_view>(
      {"following", "follows", "follow", "these",  "below",    "steps",  "seguinte", "seguintes",
       "seguir",    "segue",   "seguem", "siga",   "sigam",    "estes",  "estas",    "nestes",
       "nestas",    "destes",  "destas", "abaixo", "listados", "passos", "etapas",   "listadas"});
  retrieval::WordBreaker breaker(words);
  for (retrieval::Word word; breaker.Next(&word);) {
    if (pointers->contains(retrieval::FoldAccents(retrieval::FoldCase(word.text)))) return true;
  }
  return false;
}

}  // namespace lastro::services::answer
