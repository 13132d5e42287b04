"""Makes documents with tables, and questions that one cell of them answers, for lastro eval.

    python table_sets.py --out work/tables
    lastro --data work/en ingest work/tables/en && lastro --data work/en eval work/tables/en.jsonl --lang en

Markdown and HTML files, with six to forty rows drawn by a fixed seed. Each kind of question is asked of some rows, and
of one that is not in the table, which nothing answers. A row is told by one of its cells, what is asked for is another:
nothing but the table says which.
"""

import argparse
import html
import json
import pathlib
import random

FIRST = "Ana Rui Marta João Carla Pedro Luís Sofia Tiago Inês Paula Miguel Clara Hugo Teresa Nuno Alice Bruno Rita Jorge".split()
LAST = "Reis Costa Lima Nunes Sousa Alves Matos Pinto Rocha Dias Lopes Ramos Vieira Gomes Cruz Faria Melo Leal Maia Brito".split()
CITIES = ("Porto Faro Braga Funchal Coimbra Aveiro Leiria Viseu Évora Setúbal Guarda Beja Bragança Sintra Cascais Tomar Lagos Chaves "
          "Almada Loures").split()
PRODUCTS = "kettle toaster lamp heater fan blender speaker router printer scanner projector keyboard monitor tablet camera drill".split()
PRODUCTS_PT = "chaleira torradeira lâmpada aquecedor ventoinha batedeira coluna impressora projetor teclado monitor câmara berbequim".split()
SUBJECTS = "Chemistry Physics Biology Statistics Geometry Algebra Botany Geology Astronomy Optics Genetics Ecology".split()
SUBJECTS_PT = "Química Física Biologia Estatística Geometria Álgebra Botânica Geologia Astronomia Ótica Genética Ecologia".split()
STARS = "atlas boreas ceres dione europa fenrir ganymed hydra ixion juno kepler luna mimas nereus oberon pallas".split()
SYSTEMS = ["Debian 12", "Ubuntu 24.04", "FreeBSD 14", "Fedora 41", "Alpine 3.20", "openSUSE 15", "Arch Linux"]
ROLES = ["database", "web server", "backup", "mail", "monitoring", "build server", "file server", "proxy"]


class Draw:
    """Values of a table's cells, none of a `distinct` kind twice in it."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.used = set()

    def distinct(self, make):
        while True:
            value = make()
            if value not in self.used:
                self.used.add(value)
                return value

    def of(self, values):
        return self.distinct(lambda: self.random.choice(values))

    def name(self):
        return self.distinct(lambda: f"{self.random.choice(FIRST)} {self.random.choice(LAST)}")

    def phone(self):
        return self.distinct(lambda: f"2{self.random.randint(10, 99)} {self.random.randint(100, 999)} {self.random.randint(100, 999)}")

    def number(self, low, high, unit=""):
        return self.distinct(lambda: f"{self.random.randint(low, high)}{unit}")

    def price(self, decimal, unit):
        return self.distinct(lambda: f"{self.random.randint(2, 90)}{decimal}{self.random.randint(10, 99)}{unit}")

    def clock(self, low, high):
        return self.distinct(lambda: f"{self.random.randint(low, high):02d}:{self.random.choice((0, 10, 15, 20, 30, 40, 45)):02d}")


# language, title, what stands above the table, columns, rows, a row, [(question, column of its %s, column asked for)]
KINDS = [
    ("en", "Offices", "The company has offices in these cities.", ["City", "Manager", "Phone", "Desks"], 8,
     lambda d: [d.of(CITIES), d.name(), d.phone(), d.number(5, 200)],
     [("Who manages the office in %s?", 0, 1), ("What is the phone number of the %s office?", 0, 2), ("How many desks does the office in %s have?", 0, 3),
      ("Which city's office is managed by %s?", 1, 0)]),
    ("en", "Server inventory", "Machines of the data centre.", ["Host", "Role", "Memory", "Operating system"], 6,
     lambda d: [d.of(STARS), d.of(ROLES), d.number(8, 900, " GB"), d.of(SYSTEMS)],
     [("How much memory does %s have?", 0, 2), ("Which operating system runs on %s?", 0, 3), ("What is the role of %s?", 0, 1), ("Which host is the %s?", 1, 0)]),
    ("en", "Price list", "Prices include VAT. Orders above the free limit are shipped at no cost.", ["Product", "Price", "Warranty", "Weight"], 10,
     lambda d: [d.of(PRODUCTS), d.price(".", " EUR"), d.number(6, 60, " months"), d.number(200, 9000, " g")],
     [("How much does the %s cost?", 0, 1), ("How long is the warranty of the %s?", 0, 2), ("What is the weight of the %s?", 0, 3)]),
    ("en", "Courses", "Courses of the spring term.", ["Course", "Lecturer", "Room", "Students"], 9,
     lambda d: [d.of(SUBJECTS), d.name(), d.distinct(lambda: f"{d.random.choice('ABCD')}{d.random.randint(100, 499)}"), d.number(10, 150)],
     [("Who teaches %s?", 0, 1), ("In which room is the %s course?", 0, 2), ("How many students take %s?", 0, 3), ("Which course is taught by %s?", 1, 0)]),
    ("en", "Bus timetable", "Buses leave from the central station.", ["Destination", "First bus", "Last bus", "Platform"], 12,
     lambda d: [d.of(CITIES), d.clock(4, 8), d.clock(19, 23), d.number(1, 40)],
     [("When does the first bus to %s leave?", 0, 1), ("When does the last bus to %s leave?", 0, 2), ("From which platform do buses to %s leave?", 0, 3)]),
    ("en", "Staff directory", "Everybody who works here, by name.", ["Name", "Extension", "Office", "Department"], 40,
     lambda d: [d.name(), d.number(1000, 9999), d.distinct(lambda: f"{d.random.randint(1, 9)}.{d.random.randint(10, 99)}"),
                d.random.choice(["Finance", "Legal", "Sales", "Research", "Support"])],
     [("What is the extension of %s?", 0, 1), ("In which office does %s sit?", 0, 2), ("Which department does %s work in?", 0, 3)]),
    ("en", "Leave", "Employees have these rights each year.", ["Type of leave", "Days", "Approved by", "Notice"], 6,
     lambda d: [d.of(["annual leave", "parental leave", "study leave", "bereavement leave", "sick leave", "unpaid leave", "civic leave"]), d.number(2, 130),
                d.of(["line manager", "HR director", "training officer", "managing director", "team lead", "payroll office", "works council"]), d.number(1, 90, " days")],
     [("How many days of %s are there?", 0, 1), ("Who approves %s?", 0, 2), ("How much notice does %s need?", 0, 3)]),
    ("pt", "Escritórios", "A empresa tem escritórios nestas cidades.", ["Cidade", "Responsável", "Telefone", "Lugares"], 8,
     lambda d: [d.of(CITIES), d.name(), d.phone(), d.number(5, 200)],
     [("Quem é o responsável pelo escritório de %s?", 0, 1), ("Qual é o telefone do escritório de %s?", 0, 2), ("Quantos lugares tem o escritório de %s?", 0, 3),
      ("De que cidade é responsável %s?", 1, 0)]),
    ("pt", "Tabela de preços", "Os preços incluem IVA.", ["Produto", "Preço", "Garantia", "Peso"], 10,
     lambda d: [d.of(PRODUCTS_PT), d.price(",", " €"), d.number(6, 60, " meses"), d.number(200, 9000, " g")],
     [("Quanto custa o artigo %s?", 0, 1), ("Qual é a garantia do artigo %s?", 0, 2), ("Qual é o peso do artigo %s?", 0, 3)]),
    ("pt", "Disciplinas", "Disciplinas do segundo semestre.", ["Disciplina", "Docente", "Sala", "Inscritos"], 9,
     lambda d: [d.of(SUBJECTS_PT), d.name(), d.distinct(lambda: f"{d.random.choice('ABCD')}{d.random.randint(100, 499)}"), d.number(10, 150)],
     [("Quem dá a disciplina de %s?", 0, 1), ("Em que sala é a disciplina de %s?", 0, 2), ("Quantos inscritos tem %s?", 0, 3), ("Que disciplina dá %s?", 1, 0)]),
    ("pt", "Horário dos autocarros", "Os autocarros partem da estação central.", ["Destino", "Primeiro", "Último", "Cais"], 12,
     lambda d: [d.of(CITIES), d.clock(4, 8), d.clock(19, 23), d.number(1, 40)],
     [("A que horas parte o primeiro autocarro para %s?", 0, 1), ("A que horas parte o último autocarro para %s?", 0, 2), ("De que cais parte o autocarro para %s?", 0, 3)]),
    ("pt", "Contactos", "Quem trabalha na câmara municipal.", ["Nome", "Extensão", "Gabinete", "Departamento"], 40,
     lambda d: [d.name(), d.number(1000, 9999), d.distinct(lambda: f"{d.random.randint(1, 9)}.{d.random.randint(10, 99)}"),
                d.random.choice(["Finanças", "Obras", "Cultura", "Ambiente", "Educação"])],
     [("Qual é a extensão de %s?", 0, 1), ("Em que gabinete está %s?", 0, 2), ("Em que departamento trabalha %s?", 0, 3)]),
]

# Written when the rules for tables were done, to see them on other ones; questions name columns less often.
LATER = [
    ("en", "Hotels", "Rooms near the congress centre. Breakfast is served from seven.", ["Hotel", "Stars", "Rate per night", "Walking distance", "Contact"], 9,
     lambda d: ["Hotel " + d.of(STARS).title(), str(d.random.randint(2, 5)), d.price(".", " EUR"), d.number(2, 45, " minutes"), d.name()],
     [("How much is a room at %s?", 0, 2), ("How far is %s from the congress centre on foot?", 0, 3), ("Who should be called at %s?", 0, 4),
      ("Which hotel is %s the contact of?", 4, 0)]),
    ("en", "Rivers of the region", "Measured by the water authority in 2019.", ["River", "Length (km)", "Source", "Mouth"], 10,
     lambda d: ["River " + d.of(LAST), d.number(40, 900), "Mount " + d.of(FIRST), d.of(CITIES)],
     [("How long is the %s?", 0, 1), ("Where does the %s rise?", 0, 2), ("At which town does the %s reach the sea?", 0, 3)]),
    ("en", "Membership", "What each plan includes.", ["Plan", "Monthly fee", "Storage", "Support hours", "Users"], 6,
     lambda d: [d.of("Basic Plus Team Business Campus Partner Premium".split()), d.price(".", " USD"), d.number(5, 900, " GB"),
                d.distinct(lambda: f"{d.random.randint(6, 10)}:00 to {d.random.randint(15, 22)}:00"), d.number(1, 500)],
     [("what does the %s plan cost per month?", 0, 1), ("how much storage comes with the %s plan?", 0, 2), ("how many users may a %s plan have?", 0, 4)]),
    ("pt", "Museus", "Museus do município. A entrada é livre ao domingo.", ["Museu", "Abertura", "Fecho", "Diretor", "Visitantes por ano"], 9,
     lambda d: ["Museu " + d.of(LAST), d.clock(8, 11), d.clock(16, 20), d.name(), d.number(900, 90000)],
     [("A que horas abre o %s?", 0, 1), ("A que horas fecha o %s?", 0, 2), ("Quem dirige o %s?", 0, 3), ("Quantas pessoas visitam o %s por ano?", 0, 4)]),
    ("pt", "Medicamentos", "Conservação e doses dos produtos da farmácia.", ["Produto", "Dose diária", "Temperatura", "Validade", "Fabricante"], 10,
     lambda d: [d.of("Alvorin Bentax Cordil Danoxol Evarin Fluxan Gastrel Histol Ibonar Junal Kelvax Lantor".split()), d.number(5, 900, " mg"),
                d.number(2, 30, " °C"), d.number(3, 48, " meses"), d.of([f"Laboratórios {name}" for name in LAST])],
     [("Que dose de %s se toma por dia?", 0, 1), ("A que temperatura se guarda o %s?", 0, 2), ("Quem fabrica o %s?", 0, 4), ("Por quanto tempo é válido o %s?", 0, 3)]),
]


def markdown(title, above, columns, rows):
    line = lambda cells: "| " + " | ".join(cells) + " |\n"
    return f"# {title}\n\n{above}\n\n" + line(columns) + "|" + "---|" * len(columns) + "\n" + "".join(map(line, rows))


def page(title, above, columns, rows):
    line = lambda tag, cells: "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>\n"
    return (f"<html><head><meta charset='utf-8'><title>{title}</title></head><body><h1>{title}</h1><p>{above}</p>\n<table>\n" + line("th", columns) +
            "".join(line("td", row) for row in rows) + "</table></body></html>\n")


def write_sets(out, rows_a_question):
    """Writes OUT/LANG/* and OUT/LANG.jsonl; returns the questions by language."""
    questions = {"en": [], "pt": []}
    for number, (lang, title, above, columns, count, row, asked) in enumerate(KINDS + LATER):
        draw = Draw(f"tables:{number}")
        *rows, absent = [row(draw) for _ in range(count + 1)]
        name = f"{number:02d}." + ("html" if number % 3 == 2 else "md")
        folder = out / lang
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((page if name.endswith("html") else markdown)(title, above, columns, rows), encoding="utf-8")
        for text, told_by, wanted in asked:
            for cells in draw.random.sample(rows, min(rows_a_question, count)):
                questions[lang].append({"question": text % cells[told_by], "answers": [cells[wanted]], "document": name, "source": title})
            questions[lang].append({"question": text % absent[told_by], "answers": [], "answerable": False, "source": title})
    for lang, of_lang in questions.items():
        (out / f"{lang}.jsonl").write_text("".join(json.dumps(q, ensure_ascii=False) + "\n" for q in of_lang), encoding="utf-8")
    return questions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--rows-a-question", type=int, default=4, help="rows that each kind of question is asked of (default 4)")
    args = parser.parse_args()
    for lang, questions in write_sets(args.out, args.rows_a_question).items():
        print(f"{lang}: {len(questions)} questions, {sum(not q.get('answerable', True) for q in questions)} of rows that are not there")


if __name__ == "__main__":
    main()
