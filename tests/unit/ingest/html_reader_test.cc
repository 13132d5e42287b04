#include "ingest/html_reader.h"

#include <gumbo.h>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "ingest/html_hidden.h"
#include "ingest/html_tree.h"
#include "ingest/reader.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr uint64_t kMemory = 1u << 30;

HtmlPage Read(const std::string& html) {
  absl::StatusOr<HtmlPage> page = ReadHtml(html, kMemory, CallContext());
  EXPECT_TRUE(page.ok()) << page.status();
  for (const Block& block : page->blocks) EXPECT_EQ(MapError(block.content, html), "");
  return *page;
}

TEST(HtmlReaderTest, TitleHeadingsAndParagraphs) {
  std::string html =
      "<!doctype html><html><head><title>The &amp; title</title><style>p{}</style></head><body><h1>One</h1>"
      "<p>Some <b>bold</b>\n   text.</p>Loose<div>In div</div><h2>Two <i>parts</i></h2></body></html>";
  HtmlPage page = Read(html);
  EXPECT_EQ(page.title, "The & title");
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("1:One", "Some bold text.", "Loose", "In div", "2:Two parts"));
  EXPECT_EQ(SourceOf(page.blocks[1].content, html, "bold text"), "bold</b>\n   text");
}

TEST(HtmlReaderTest, EntitiesMapToTheirReferences) {
  std::string html = "<p>Caf&eacute; &#8364;5 &lt;tag&gt; a&amp;b &copy 2020 x & y &unknown; AT&T</p>";
  HtmlPage page = Read(html);
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("Café €5 <tag> a&b © 2020 x & y &unknown; AT&T"));
  const MappedText& text = page.blocks[0].content;
  EXPECT_EQ(SourceOf(text, html, "Café"), "Caf&eacute;");
  EXPECT_EQ(SourceOf(text, html, "<tag>"), "&lt;tag&gt;");
  EXPECT_EQ(SourceOf(text, html, "2020 x & y"), "2020 x & y");
  EXPECT_EQ(SourceOf(text, html, "AT&T"), "AT&T");
}

TEST(HtmlReaderTest, HiddenAndBoilerplateAreLeftOut) {
  HtmlPage page = Read(
      "<body><nav>Menu</nav><header>Head</header><p>Seen</p><p hidden>h1</p><p style='color:red; display : none'>h2</p>"
      "<span aria-hidden=true>h3</span><script>s()</script><noscript>n</noscript><template><p>t</p></template>"
      "<!-- c --><aside>ad</aside><div role=navigation>r</div><p class='big cookie'>k</p><div "
      "id=menu>m</div><footer>foot</footer></body>");
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("Head", "Seen"));
}

// A page with "secret" in an element with `attributes`, between words that are seen.
std::vector<std::string> Around(const std::string& attributes, const std::string& head = "") {
  return TextsOf(Read(head + "<p>before <span " + attributes + ">secret</span> after</p>").blocks);
}

TEST(HtmlReaderTest, TextThatIsNotShownIsLeftOut) {
  for (const char* attributes : {"hidden",
                                 "HIDDEN=until-found",
                                 "aria-hidden=' TRUE '",
                                 "popover",
                                 "style=display:none",
                                 "style='DISPLAY : /* x */ None !important'",
                                 "style='d\\69splay:none'",
                                 "style='visibility:collapse'",
                                 "style='color:red;opacity:0.0'",
                                 "style='opacity:1%'",
                                 "style='filter:opacity(0)'",
                                 "style='font-size:0em'",
                                 "style='font-size:1px'",
                                 "style='font-size:.01rem'",
                                 "style='color:transparent'",
                                 "style='color:#ff000000'",
                                 "style='color:rgba(1,2,3,0)'",
                                 "style='color:rgb(1 2 3 / 0%)'",
                                 "style='text-indent:-9999px'",
                                 "style='position:absolute;left:-10000px'",
                                 "style='position:fixed;top:99999px'",
                                 "style='margin-left:-999em'",
                                 "style='overflow:hidden;height:0'",
                                 "style='max-width:1px;overflow-x:clip'",
                                 "style='clip:rect(0,0,0,0)'",
                                 "style='clip:rect(1px, 1px, 1px, 1px)'",
                                 "style='clip-path:inset(100%)'",
                                 "style='clip-path:circle(0)'",
                                 "style='transform:scale(0)'",
                                 "style='transform:translate(-9999px, 0)'",
                                 "style='content-visibility:hidden'",
                                 "style='-webkit-text-fill-color:transparent'",
                                 "style='color:white'",
                                 "style='color:#FFF'",
                                 "style='color:rgb(255, 255, 255)'",
                                 "style='color:black;background:#000'",
                                 "style='color:#0f0;background-color:rgb(0,255,0)'"}) {
    EXPECT_THAT(Around(attributes), ElementsAre("before after")) << attributes;
  }
}

TEST(HtmlReaderTest, TextThatIsShownStays) {
  for (const char* attributes :
       {"aria-hidden=false", "style='display:inline'", "style='opacity:0.5'", "style='opacity:1'",
        "style='font-size:11px'", "style='font-size:1em'", "style='color:red;background:white'", "style='left:-5px'",
        "style='text-indent:-2em'", "style='height:0'", "style='overflow:hidden;height:40px'",
        "style='color:#fffefe00 x'", "style='color:white;background-color:#123'", "style='clip-path:inset(5%)'",
        "style='transform:scale(1.5)'", "style='transform:translate(-50%, -50%)'", "style='background-image:none'",
        "title='display:none'", "class=hidden"}) {
    EXPECT_THAT(Around(attributes), ElementsAre("before secret after")) << attributes;
  }
  // White on a background that a sheet gives, or may give.
  EXPECT_THAT(Around("style=color:white", "<link rel='StyleSheet' href=a.css>"), ElementsAre("before secret after"));
  EXPECT_THAT(
      TextsOf(Read("<div style='background:navy;background-color:#008'><p style=color:white>seen</p></div>").blocks),
      ElementsAre("seen"));
}

TEST(HtmlReaderTest, ColoursAreOfTheElementsAround) {
  EXPECT_THAT(
      TextsOf(Read("<table bgcolor=black><tr><td><p>x<font color='#000'>secret</font></p></td></tr></table>").blocks),
      ElementsAre("x"));
}

TEST(HtmlReaderTest, ElementsThatAreNeverShown) {
  EXPECT_THAT(TextsOf(Read("<p>a<template>secret</template><noscript>secret</noscript><dialog>secret</dialog>"
                           "<math><annotation>secret</annotation></math><progress>secret</progress>"
                           "<meter>secret</meter><!-- secret --><script>secret</script></p><dialog open>b</dialog>")
                          .blocks),
              ElementsAre("a", "b"));
}

TEST(HtmlReaderTest, RulesOfThePagesOwnSheetsHide) {
  const std::string sheet =
      "<style>@import 'x'; /* .ok{display:none} */ .gone, P.out{display:none}\n#off{opacity:0}\n"
      ".box > div span.deep{visibility:hidden}\n.ok:hover{display:none} a[x]{display:none}"
      "@media print{.ok{display:none}}@media screen{.small{font-size:0}}</style>";
  for (const char* attributes : {"class=gone", "class='a gone b'", "id=off", "class=small"}) {
    EXPECT_THAT(Around(attributes, sheet), ElementsAre("before after")) << attributes;
  }
  for (const char* attributes : {"class=ok", "class=out", "class=deep", "class='gone' style='display:block'"}) {
    EXPECT_THAT(Around(attributes, sheet), ElementsAre("before secret after")) << attributes;
  }
  EXPECT_THAT(
      TextsOf(Read(sheet + "<div class=box><i><div><b>x<span class=deep>secret</span></b></div></i></div>").blocks),
      ElementsAre("x"));
}

TEST(HtmlReaderTest, HostileStyleSheetsEndWithinTheLimit) {
  std::string rules, page;
  for (int i = 0; i < 20'000; ++i) rules += ".a .b .c{opacity:1}";
  for (int i = 0; i < 300; ++i) page += "<div class=c><p class=c>x";
  ReaderOptions options;
  options.parser_timeout_s = 1;
  absl::StatusOr<ReadResult> read =
      ReadContent("<style>" + rules + "</style>" + page, "a.html", "", options, CallContext());
  if (!read.ok()) {
    EXPECT_THAT(read, StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("1 s")));
  }
  for (int i = 0; i < 2; ++i) rules += rules;
  EXPECT_THAT(ReadHtml("<style>" + rules + "</style><p>x", kMemory, CallContext()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("65536 rules")));
}

TEST(HtmlReaderTest, AClassNamedOftenCountsOnce) {
  std::string rules, classes;
  for (int i = 0; i < 60'000; ++i) rules += ".a{opacity:1}";
  for (int i = 0; i < 100'000; ++i) classes += "a ";  // 6 billion pairs
  EXPECT_THAT(TextsOf(Read("<style>" + rules + "</style><p class='" + classes + "'>shown").blocks),
              ElementsAre("shown"));
}

TEST(HtmlReaderTest, SelectorsOfManyClassesEndWithinTheLimit) {
  std::string selector, classes;
  for (int i = 0; i < 300'000; ++i) selector += ".z";
  for (int i = 0; i < 1'000'000; ++i) classes += "a ";
  const CallContext ended = CallContext::Until(absl::Now() - absl::Seconds(1));
  absl::StatusOr<HtmlTree> tree = HtmlTree::Parse(
      "<style>" + selector + "{opacity:1}</style><p class='" + classes + "z'>x", kMemory, CallContext());
  ASSERT_TRUE(tree.ok());
  HiddenElements hidden(tree->root(), ended);
  const GumboNode* node = tree->root();
  while (HtmlTag(node) != GUMBO_TAG_P) {
    node = static_cast<const GumboNode*>(node->v.element.children.data[node->v.element.children.length - 1]);
  }
  EXPECT_TRUE(hidden.Hides(node)) << "the context has ended";
}

TEST(HtmlReaderTest, ParagraphsOfLinksAloneAreMenus) {
  HtmlPage page = Read(
      "<div><a>Home</a> | <a>Ships</a> &middot; <a>Help</a></div><p>See <a>a</a>, <a>b</a> and <a>c</a>.</p>"
      "<ul><li><a>x</a> <a>y</a> <a>z</a></ul>");
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("See a, b and c.", "- x y z"));
}

TEST(HtmlReaderTest, APageOfBoilerplateIsStillRead) {
  EXPECT_THAT(TextsOf(Read("<aside><p>All there is</p></aside>").blocks), ElementsAre("All there is"));
  EXPECT_THAT(Read("<p hidden>nothing</p>").blocks, IsEmpty());
}

TEST(HtmlReaderTest, TablesListsAndPreformatted) {
  std::string html =
      "<table><tr><th>Item<th>Price</tr><tr><td>Bolt<td><p>3</p></tr></table><ul><li>one<li>two <b>2</b></ul>"
      "<pre>a  b\n  c</pre><p>x<br>y</p>";
  HtmlPage page = Read(html);
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("Item | Price", "Bolt | 3", "- one", "- two 2", "a  b\n  c", "x\ny"));
  EXPECT_TRUE(page.blocks[0].table_header);
  EXPECT_FALSE(page.blocks[1].table_header);
  EXPECT_EQ(page.blocks[2].kind, BlockKind::kListItem);
  EXPECT_EQ(page.blocks[4].kind, BlockKind::kCode);
  EXPECT_EQ(SourceOf(page.blocks[1].content, html, "Bolt | 3"), "Bolt<td><p>3");
}

TEST(HtmlReaderTest, ItemsHaveTheMarkersThatABrowserShows) {
  const std::string html =
      "<ol><li>one<li value=7>two<li>three</ol><ol start=998><li>a<li>b<li>c</ol><ol start=-1><li>d</ol>"
      "<ol reversed><li>e</ol><ol start=99999999999><li>f</ol><li>alone<dl><dt>term<dd>what</dl>";
  HtmlPage page = Read(html);
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("1. one", "7. two", "8. three", "998. a", "999. b", "- c", "- d", "- e",
                                                "1. f", "- alone", "term", "what"));
  EXPECT_EQ(SourceOf(page.blocks[1].content, html, "7. two"), "<li value=7>two");
}

TEST(HtmlReaderTest, ParagraphsAndListsInsideOfItemsAreItems) {
  HtmlPage page = Read(
      "<ul><li> <p>one</p><p>more</p><li><ul><li>inner</ul>behind<li>   <li hidden>no<li><pre>\n  "
      "x\n</pre></ul><p>after");
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("- one", "more", "- inner", "behind", "-   x", "after"));
  std::vector<BlockKind> kinds;
  for (const Block& block : page.blocks) kinds.push_back(block.kind);
  EXPECT_THAT(kinds, ElementsAre(BlockKind::kListItem, BlockKind::kListItem, BlockKind::kListItem, BlockKind::kListItem,
                                 BlockKind::kCode, BlockKind::kParagraph));
}

TEST(HtmlReaderTest, ItemsInCellsHaveNoMarkers) {
  HtmlPage page = Read("<table><tr><td>a<li>b</tr></table><table><tr><td>c<ul><li>d</ul></tr></table>");
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("a b", "c", "- d"));
}

// Each cell of the row as "column[+span]=text".
std::string CellsOf(const Block& row) {
  std::string cells;
  for (const TableCell& cell : row.cells) {
    absl::StrAppend(&cells, cells.empty() ? "" : " ", cell.column, cell.span > 1 ? absl::StrCat("+", cell.span) : "",
                    "=", row.content.text.substr(cell.begin, cell.end - cell.begin));
  }
  return cells;
}

TEST(HtmlReaderTest, CellsStandInColumns) {
  HtmlPage page = Read(
      "<table><tr><th>A<th colspan=2>B<th>C</tr>"
      "<tr><td rowspan=2>1<td>2 | two<td><td> 4 </tr>"
      "<tr><td><td>3<td>4</tr>"
      "<tr><td hidden>h<td>1<td colspan=0>2<td colspan=x>3</tr></table>"
      "<table><tr><td>1<td>2</table><table><tr><td>layout<table><tr><td>1<td>2</table><tr><td>3<td>4</table>");
  std::vector<std::string> cells;
  for (const Block& block : page.blocks) cells.push_back(absl::StrCat(block.table, ": ", CellsOf(block)));
  EXPECT_THAT(cells, ElementsAre("1: 0=A 1+2=B 3=C", "1: 0=1 1=2 | two 3=4", "1: 2=3 3=4", "1: 0=1 1=2 2=3",
                                 "2: 0=1 1=2", "0: ", "4: 0=1 1=2", "3: 0=3 1=4"));
}

// The parser's own sum of the digits overflows.
TEST(HtmlReaderTest, NumbersThatAreTooLargeStandForNothing) {
  const std::string html = "<title>t&#6666666666;</title><p>a &#6666666666; b &#66666666666666666666666666666;c</p>";
  HtmlPage page = Read(html);
  EXPECT_TRUE(IsValidUtf8(page.title)) << page.title;
  ASSERT_EQ(page.blocks.size(), 1u);
  EXPECT_TRUE(IsValidUtf8(page.blocks[0].content.text)) << page.blocks[0].content.text;
  EXPECT_THAT(page.blocks[0].content.text, AllOf(StartsWith("a "), EndsWith("c")));
  EXPECT_EQ(SourceOf(page.blocks[0].content, html, " b "), " b ");
}

TEST(HtmlReaderTest, RowsOfTheHeadNameColumns) {
  HtmlPage page =
      Read("<table><thead><tr><td>A<td>B</thead><tbody><tr><td>1<td>2</table><table><tr><th>x<td>y</table>");
  ASSERT_EQ(page.blocks.size(), 3u);
  EXPECT_TRUE(page.blocks[0].table_header);
  EXPECT_FALSE(page.blocks[1].table_header);
  EXPECT_FALSE(page.blocks[2].table_header) << "a row with a name of its own";
}

TEST(HtmlReaderTest, CellsMayReachAnywhere) {
  std::string html = "<table><tr><td colspan=70000 rowspan=70000>wide<td>beyond</tr>";
  for (int i = 0; i < 300; ++i) html += "<tr><td>below</tr>";
  html += "</table><table><tr>";
  for (int i = 0; i < 300; ++i) html += "<td>x";
  HtmlPage page = Read(html + "</table>");
  ASSERT_EQ(page.blocks.size(), 302u);
  EXPECT_EQ(CellsOf(page.blocks[0]), "0+65534=wide");
  EXPECT_EQ(CellsOf(page.blocks[300]), "") << "all columns are taken";
  EXPECT_EQ(page.blocks[301].cells.size(), 256u);
}

TEST(HtmlReaderTest, ABreakBesideASpaceIsOneLineBreak) {
  HtmlPage page = Read("<p>one<br> two <br>three<br/>\n<i>four</i> <br> five</p>");
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("one\ntwo\nthree\nfour\nfive"));
}

TEST(HtmlReaderTest, PreformattedTextThatBeginsWithALineEnd) {
  std::string html = "<pre>\nisNaN(a);\n=&gt; true\n</pre><p>x</p><pre>\r\n  b\r\n=&gt; 1</pre>";
  HtmlPage page = Read(html);
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("isNaN(a);\n=> true", "x", "  b\n=> 1"));
  EXPECT_EQ(SourceOf(page.blocks[0].content, html, "isNaN(a);"), "isNaN(a);");
  EXPECT_EQ(SourceOf(page.blocks[2].content, html, "=>"), "=&gt;");
}

TEST(HtmlReaderTest, LayoutTablesAreReadAsText) {
  EXPECT_THAT(TextsOf(Read("<table><tr><td><h2>Head</h2><p>Text</p></td><td>Side</td></tr></table>").blocks),
              ElementsAre("2:Head", "Text", "Side"));
}

TEST(HtmlReaderTest, MisnestedTagsKeepTheMap) {
  Read("<p>a<b>b<i>c</b>d</i></p>e</x>f<table>foster<tr><td>g</table><svg><p>h</svg><b><p>i</b>j");
}

TEST(HtmlReaderTest, HiddenCharactersBehindReferencesAreRemoved) {
  std::string html = "<p>a&#8203;b&#x202E;c&nbsp;d&shy;e</p>";
  ASSERT_OK_AND_ASSIGN(ReadResult read, ReadContent(html, "a.html", "", ReaderOptions(), CallContext()));
  EXPECT_THAT(TextsOf(read.blocks), ElementsAre("abc de"));
  EXPECT_EQ(MapError(read.blocks[0].content, html), "");
}

TEST(HtmlReaderTest, HostileNestingEndsWithinItsLimits) {
  for (const char* piece : {"<div>", "<b>", "<table><tr><td>", "<a><p>", "<p>", "<svg>", "<b a=1><i>", "<select>"}) {
    std::string html;
    for (int i = 0; i < 100'000; ++i) html += piece;
    ReaderOptions options;
    options.parser_timeout_s = 2;
    absl::StatusOr<ReadResult> read = ReadContent(html + "x", "a.html", "", options, CallContext());
    if (read.ok()) continue;
    bool limited = absl::IsDeadlineExceeded(read.status()) || absl::IsResourceExhausted(read.status()) ||
                   absl::IsInvalidArgument(read.status());
    EXPECT_TRUE(limited) << piece << ": " << read.status();
  }
}

TEST(HtmlReaderTest, ManyAttributesEndWithinTheLimit) {
  std::string html = "<p";
  for (int i = 0; i < 200'000; ++i) html += " a" + std::to_string(i) + "=1";
  ReaderOptions options;
  options.parser_timeout_s = 1;
  absl::StatusOr<ReadResult> read = ReadContent(html + ">x</p>", "a.html", "", options, CallContext());
  if (!read.ok()) {
    EXPECT_THAT(read, StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("1 s")));
  }
}

TEST(HtmlReaderTest, MemoryIsCapped) {
  std::string html;
  for (int i = 0; i < 100'000; ++i) html += "<i>x</i>";
  EXPECT_THAT(ReadHtml(html, 1 << 20, CallContext()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("memory")));
}

TEST(HtmlReaderTest, CancellationIsSeen) {
  CallContext context;
  context.Cancel();
  std::string html;
  for (int i = 0; i < 10'000; ++i) html += "<i>x</i>";
  EXPECT_THAT(ReadHtml(html, kMemory, context), StatusIs(absl::StatusCode::kCancelled, HasSubstr("")));
}

}  // namespace
}  // namespace lastro::ingest
