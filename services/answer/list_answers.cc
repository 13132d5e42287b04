#include "services/answer/list_answers.h"

#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/list_marker.h"
#include "services/answer/question_form.h"
#include "services/answer/words.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kMaxItemWords = 30;  // of a list whose items are told apart by their words; longer ones are prose

// Words that tell no items apart: "what are the steps to ...", "o que deve fazer ...".
bool IsOfLists(const std::string& word) {
  static const auto* const words = new absl::flat_hash_set<std::string>(
      {"step",   "steps", "thing",  "things", "list",    "item",    "items", "need",      "needs",
       "kinds",  "types", "may",    "might",  "must",    "shall",   "can",   "have",      "passo",
       "passos", "etapa", "etapas", "coisas", "lista",   "itens",   "fazer", "deve",      "devem",
       "devo",   "pode",  "podem",  "posso",  "preciso", "precisa", "tipos", "necessario"});
  return words->contains(word);
}

absl::string_view TextOf(const v1::SearchHit& hit, TextRange range) {
  return absl::string_view(hit.chunk().text()).substr(range.begin, range.end - range.begin);
}

std::vector<bool> Both(std::vector<bool> a, const std::vector<bool>& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] = a[i] && b[i];
  return a;
}

std::vector<bool> Without(const std::vector<bool>& left_out, std::vector<bool> said) {
  for (size_t i = 0; i < said.size(); ++i) said[i] = said[i] && !left_out[i];
  return said;
}

bool IsIn(TextRange inner, TextRange outer) { return outer.begin <= inner.begin && inner.end <= outer.end; }

TextRange LineAround(absl::string_view text, TextRange span) {
  const size_t before = span.begin == 0 ? text.npos : text.rfind('\n', span.begin - 1);
  return {before == text.npos ? 0 : before + 1, std::min(text.find('\n', span.end), text.size())};
}

// The item with the break behind it, where another item follows.
TextRange WithLineBreak(absl::string_view text, TextRange item) {
  const bool is_last = item.end + 1 >= text.size() || text[item.end + 1] == '\n';
  return {item.begin, is_last ? item.end : item.end + 1};
}

bool AreShort(const v1::SearchHit& hit, const PassageList& list) {
  return std::all_of(list.items.begin(), list.items.end(),
                     [&](const TextRange& item) { return SplitWords(TextOf(hit, item)).size() <= kMaxItemWords; });
}

}  // namespace

ListAnswers::ListAnswers(const std::string& question, bool few_words)
    : question_(question), few_words_(few_words), counts_(AsksHowMany(question)), words_(question) {}

const std::vector<PassageList>& ListAnswers::ListsIn(const v1::SearchHit& hit) {
  const auto [lists, is_new] = lists_.try_emplace(&hit);
  if (is_new) lists->second = ListsOf(hit.chunk());
  return lists->second;
}

ListAnswers::Said ListAnswers::SaidBy(const v1::SearchHit& hit, TextRange range) {
  return words_.Said(TextOf(hit, range));
}

ListAnswers::Said ListAnswers::SaidRightAbove(const v1::SearchHit& hit, const PassageList& list) {
  if (list.IsAnnounced()) return SaidBy(hit, list.announcement);
  for (auto heading = hit.chunk().headings().rbegin(); heading != hit.chunk().headings().rend(); ++heading) {
    const bool is_page = absl::StartsWith(*heading, "p. ") || absl::StartsWith(*heading, "pp. ");
    if (!is_page) return words_.Said(*heading);
  }
  return Said(words_.size());
}

ListAnswers::Said ListAnswers::SaidAround(const v1::SearchHit& hit, const PassageList& list) {
  std::string around = absl::StrCat(hit.document().title(), "\n", TextOf(hit, list.announcement));
  for (const std::string& heading : hit.chunk().headings()) absl::StrAppend(&around, "\n", heading);
  return words_.Said(around);
}

bool ListAnswers::SaysAll(const Said& said) const {
  for (size_t i = 0; i < said.size(); ++i) {
    if (!said[i] && !words_.Asks(i) && !IsOfLists(words_.Folded(i))) return false;
  }
  return true;
}

PassageView ListAnswers::ViewOf(const v1::SearchHit& hit) {
  std::vector<TextRange> left_out;
  std::vector<ToldItem>& told = told_[&hit];
  for (const PassageList& list : ListsIn(hit)) {
    if (!few_words_ || list.items.size() < 2 || !AreShort(hit, list)) continue;
    const Said around = SaidAround(hit, list);
    std::vector<Said> said;
    for (const TextRange& item : list.items) said.push_back(Without(around, SaidBy(hit, item)));
    const size_t before = left_out.size();
    for (size_t i = 0; i < said.size(); ++i) {
      const bool outdone =
          std::any_of(said.begin(), said.end(), [&](const Said& other) { return SaysMore(other, said[i]); });
      if (outdone) left_out.push_back(WithLineBreak(hit.chunk().text(), list.items[i]));
    }
    if (left_out.size() == before) continue;
    for (const Said& of_item : said) told.push_back({of_item, around});
  }
  return ViewWithout(hit.chunk().text(), left_out);
}

bool ListAnswers::IsOutdone(const v1::SearchHit& hit, TextRange span) {
  const std::vector<ToldItem>& told = told_[&hit];
  if (told.empty()) return false;
  const Said said = SaidBy(hit, LineAround(hit.chunk().text(), span));
  return std::any_of(told.begin(), told.end(),
                     [&](const ToldItem& item) { return SaysMore(item.said, Without(item.around, said)); });
}

bool ListAnswers::TellsApart(const v1::SearchHit& hit, const PassageList& list, TextRange span) {
  const Said above = SaidRightAbove(hit, list);
  Said by_item(words_.size()), by_all(words_.size(), true);
  for (const TextRange& item : list.items) {
    const Said said = SaidBy(hit, item);
    by_all = Both(by_all, said);
    if (IsIn(span, item)) by_item = Without(above, said);
  }
  return SaysMore(by_item, Both(by_item, by_all));
}

bool ListAnswers::AnswersFewWords(const v1::SearchHit& hit, const PassageList& list, TextRange span) {
  if (!IsIn(span, list.announcement)) {
    const bool denied = DeniesItems(question_, hit.chunk().text(), PartOf(list, 0));
    const bool all_alike = SaysAll(SaidAround(hit, list)) && !TellsApart(hit, list, span);
    return AreShort(hit, list) && (denied || all_alike);
  }
  const absl::string_view words = TextOf(hit, span);
  return Points(words) || (!counts_ && !HasDigit(words) && SaysAll(SaidAround(hit, list)));
}

bool ListAnswers::AnswersMore(const v1::SearchHit& hit, const PassageList& list, TextRange span) {
  if (!list.IsAnnounced()) return AreShort(hit, list) && SaysAll(SaidAround(hit, list));
  const absl::string_view first = TextOf(hit, list.items.front());
  const bool has_numbers = ListMarkerLength(first) > BulletLength(first);
  return has_numbers || IsIn(span, list.announcement) || !TellsApart(hit, list, span);
}

std::optional<PassageList> ListAnswers::AnswerAt(const v1::SearchHit& hit, TextRange span) {
  for (const PassageList& list : ListsIn(hit)) {
    if (!IsIn(span, list.announcement) && !IsIn(span, list.Items())) continue;
    const bool answers = few_words_ ? AnswersFewWords(hit, list, span) : AnswersMore(hit, list, span);
    return answers ? std::optional(list) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace lastro::services::answer
