#include "ingest/html_reader.h"

#include "ingest/reader.h"
#include "tests/test_util.h"
#include "tests/unit/ingest/fakes.h"

namespace lastro::ingest {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

TEST(HtmlReaderTest, ParagraphsOfLinksAloneAreMenus) {
  HtmlPage page = Read(
      "<div><a>Home</a> | <a>Ships</a> &middot; <a>Help</a></div><p>See <a>a</a>, <a>b</a> and <a>c</a>.</p>"
      "<ul><li><a>x</a> <a>y</a> <a>z</a></ul>");
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("See a, b and c.", "x y z"));
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
  EXPECT_THAT(TextsOf(page.blocks), ElementsAre("Item | Price", "Bolt | 3", "one", "two 2", "a  b\n  c", "x\ny"));
  EXPECT_TRUE(page.blocks[0].table_header);
  EXPECT_FALSE(page.blocks[1].table_header);
  EXPECT_EQ(page.blocks[2].kind, BlockKind::kListItem);
  EXPECT_EQ(page.blocks[4].kind, BlockKind::kCode);
  EXPECT_EQ(SourceOf(page.blocks[1].content, html, "Bolt | 3"), "Bolt<td><p>3");
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
