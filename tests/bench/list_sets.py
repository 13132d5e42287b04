"""Makes documents with lists, and questions that a whole list, one item or a sentence beside it answers, for lastro eval.

    python list_sets.py --out work/lists
    lastro --data work/en ingest work/lists/en && lastro --data work/en eval work/lists/en.jsonl --lang en

Markdown and HTML files, a few lists each, with items drawn by a fixed seed. An answer is right (exact match) when it is the
whole list, with or without the sentence that announces it, and nothing else; or the words of one item.
"""

import argparse
import html
import json
import pathlib

from table_sets import CITIES, PRODUCTS, PRODUCTS_PT, Draw

ALL = None  # what is wanted of a list: all of it

BRING = ["a photo ID", "the invitation letter", "a pair of safety shoes", "the signed form", "two passport photos", "a vaccination record",
         "proof of address", "the parking ticket"]
DUTIES = ["checks badges at the entrance", "answers the alarm line", "patrols the building at night", "keeps the keys of the stores",
          "tests the smoke detectors", "escorts contractors"]
PAYMENTS = ["Visa and Mastercard", "bank transfer", "PayPal", "cash at the counter", "direct debit", "gift cards"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
DOCUMENTS = ["cartão de cidadão", "comprovativo de morada", "duas fotografias", "certificado de habilitações", "boletim de vacinas",
             "declaração da entidade patronal", "recibo da propina"]
BANNED = ["comer ou beber", "correr", "usar chinelos", "abrir as janelas", "tocar nos reagentes sem luvas", "trabalhar sem bata"]
BENEFITS = ["seguro de saúde", "subsídio de transporte", "dias de formação", "telemóvel de serviço", "creche", "ginásio"]
DIAS = ["segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado"]


def some(draw, values, count):
    return draw.random.sample(values, count)


def hours(draw, opens=(8, 10), closes=(16, 20)):
    return f"{draw.clock(*opens)} to {draw.clock(*closes)}"


# Of a language: [(title, what is before the list, its heading or "", the sentence that announces it or "", numbered, items, what is
# behind it, questions)], each drawn. A question is (text, number of the item or ALL, answer where it is less than the item).
def english(d):
    bring, duties, pay = some(d, BRING, 4), some(d, DUTIES, 3), some(d, PAYMENTS, 3)
    limit, fee, head, minutes = d.number(100, 900, " euros"), d.number(5, 90, " euros"), d.name(), d.number(3, 50, " minutes")
    open_days = [f"{day}: {hours(d)}" for day in some(d, DAYS, 4)]
    members = [f"{d.name()}, {role}" for role in ("chair", "treasurer", "secretary", "member for sports")]
    places = [f"{city}: {d.number(2, 90)} beds" for city in some(d, CITIES, 4)]
    prices = [f"{product}: {d.price('.', ' euros')}" for product in some(d, PRODUCTS, 5)]
    speeds = [f"{kind}: {d.number(20, 130)} km/h" for kind in ("Motorways", "Country roads", "Towns", "School zones")]
    return [
        ("Visiting the plant", "The plant is open to visitors on weekdays.", "Visitors", "Visitors must bring:", False, bring,
         "A tour takes " + minutes + ".", [("What must visitors bring?", ALL, ""), ("What do visitors need to bring?", ALL, ""),
                                            ("How long does a tour take?", "text", minutes)]),
        ("Shop rules", "Orders are packed on the same day.", "Payments", "We accept the following payment methods.", False,
         [*pay[:2], f"{pay[2]}, for orders below {limit}"], "Invoices are sent by e-mail.",
         [("Which payment methods are accepted?", ALL, ""), ("What payment methods do you accept?", ALL, ""), ("How are invoices sent?", "text", "by e-mail")]),
        ("Security", "The team works around the clock.", "Security team", "The security team does the following:", False, duties,
         f"The head of the team is {head}.", [("What does the security team do?", ALL, ""), ("Who is the head of the security team?", "text", head)]),
        ("Badges", "Every employee wears a badge.", "Resetting a badge", "To reset your badge, follow these steps:", True,
         ["Go to the front desk.", "Show your photo ID.", "Sign the form.", "Wait for the green light."], f"Lost badges cost {fee}.",
         [("How do I reset my badge?", ALL, ""), ("What are the steps to reset a badge?", ALL, ""), ("How much does a lost badge cost?", "text", fee)]),
        ("Library", "The library is in the west wing.", "Opening hours", "", False, open_days, "It is closed on public holidays.",
         [("What are the opening hours of the library?", ALL, ""),
          (f"What are the opening hours on {open_days[1].split(':')[0]}?", 1, open_days[1].split(": ", 1)[1])]),
        ("The society", "The society was founded by students.", "Board", "The members of the board are:", False, members, "The board meets every month.",
         [("Who are the members of the board?", ALL, ""), ("Who is the treasurer of the board?", 1, members[1].split(",")[0]),
          ("How often does the board meet?", "text", "every month")]),
        ("Hostels", "Guests under 18 pay half.", "Hostels", "There are hostels in these towns:", False, places, "Sheets are included.",
         [("In which towns are there hostels?", ALL, ""), (f"How many beds does the hostel in {places[2].split(':')[0]} have?", 2, places[2].split(": ")[1].split()[0])]),
        ("Spare parts", "Prices include VAT.", "Prices", "Used devices are sold at these prices:", False, prices, "Devices are tested before they are sold.",
         [("At what prices are used devices sold?", ALL, ""), (f"What does a used {prices[3].split(':')[0]} cost?", 3, prices[3].split(": ")[1])]),
        ("Driving", "Seat belts are compulsory.", "Speed limits", "The speed limits are:", False, speeds, "Fines are paid within thirty days.",
         [("What are the speed limits?", ALL, ""), ("What is the speed limit on country roads?", 1, speeds[1].split(": ")[1]),
          ("Within how many days are fines paid?", "text", "thirty days")]),
    ]


def portuguese(d):
    documents, banned, benefits = some(d, DOCUMENTS, 4), some(d, BANNED, 4), some(d, BENEFITS, 4)
    minutes, fee, head = d.number(3, 50, " minutos"), d.number(5, 90, " euros"), d.name()
    open_days = [f"{day}: {d.clock(8, 10)} às {d.clock(16, 20)}" for day in some(d, DIAS, 4)]
    members = [f"{d.name()}, {role}" for role in ("presidente", "tesoureiro", "secretário", "vogal")]
    prices = [f"{product}: {d.price(',', ' euros')}" for product in some(d, PRODUCTS_PT, 5)]
    places = [f"{city}: {d.number(2, 90)} camas" for city in some(d, CITIES, 4)]
    return [
        ("Matrículas", "As aulas começam em setembro.", "Documentos", "Para a matrícula são necessários os documentos a seguir.", False, documents,
         f"A matrícula custa {fee}.", [("Quais documentos são necessários para a matrícula?", ALL, ""), ("Que documentos são precisos para a matrícula?", ALL, ""),
                                       ("Quanto custa a matrícula?", "text", fee)]),
        ("Laboratório", "O laboratório fica no piso zero.", "Regras", "No laboratório é proibido:", True, banned, f"A responsável é {head}.",
         [("O que é proibido no laboratório?", ALL, ""), ("Quem é a responsável pelo laboratório?", "text", head)]),
        ("Regalias", "O contrato é de um ano.", "Regalias", "Os trabalhadores têm direito às seguintes regalias:", False, benefits,
         "As regalias começam no segundo mês.", [("A que regalias têm direito os trabalhadores?", ALL, ""), ("Quais são as regalias dos trabalhadores?", ALL, ""),
                                                 ("Em que mês começam as regalias?", "text", "segundo mês")]),
        ("Cartões", "Todos os funcionários usam cartão.", "Renovar o cartão", "Para renovar o cartão, siga estes passos:", True,
         ["Dirija-se à receção.", "Mostre um documento de identificação.", "Assine o formulário.", "Espere pela luz verde."], f"A renovação demora {minutes}.",
         [("Como posso renovar o cartão?", ALL, ""), ("Quais são os passos para renovar o cartão?", ALL, ""), ("Quanto tempo demora a renovação?", "text", minutes)]),
        ("Biblioteca", "A biblioteca fica na ala poente.", "Horário", "", False, open_days, "Fecha nos feriados.",
         [("Qual é o horário da biblioteca?", ALL, ""), (f"Qual é o horário de {open_days[2].split(':')[0]}?", 2, open_days[2].split(": ", 1)[1])]),
        ("A associação", "A associação foi fundada por alunos.", "Direção", "Os membros da direção são:", False, members, "A direção reúne todos os meses.",
         [("Quem são os membros da direção?", ALL, ""), ("Quem é o tesoureiro da direção?", 1, members[1].split(",")[0])]),
        ("Albergues", "Os menores pagam metade.", "Albergues", "Há albergues nestas cidades:", False, places, "Os lençóis estão incluídos.",
         [("Em que cidades há albergues?", ALL, ""), (f"Quantas camas tem o albergue de {places[1].split(':')[0]}?", 1, places[1].split(": ")[1].split()[0])]),
        ("Usados", "Os preços incluem IVA.", "Preços", "Os aparelhos usados são vendidos a estes preços:", False, prices, "Os aparelhos são testados.",
         [("A que preços são vendidos os aparelhos usados?", ALL, ""), (f"Quanto custa um artigo usado do tipo {prices[0].split(':')[0]}?", 0, prices[0].split(": ")[1])]),
    ]


# Written when the rules for lists were done, to see them on other ones.
def later(d):
    allergens = some(d, ["celery", "mustard", "nuts", "gluten", "sesame", "lupin", "soy"], 4)
    length, hours_, pay_by = d.number(8, 40), d.number(12, 96, " hours"), d.number(3, 28, " days")
    numbers = [f"{who}: {d.number(100, 999)}" for who in ("Fire brigade", "Ambulance", "Coast guard", "Poison centre")]
    stops = some(d, ["the old harbour", "the fish market", "the lighthouse", "the salt museum", "the town hall"], 4)
    english = [
        ("Canteen", "Lunch is served from noon.", "Allergens", "Dishes may contain traces of:", False, allergens, "Ask the cook when in doubt.",
         [("What may dishes contain traces of?", ALL, ""), ("Which allergens may the dishes contain?", ALL, "")]),
        ("New colleagues", "Welcome to the company.", "First week", "In your first week you will:", True,
         ["meet your mentor", "receive a laptop", "sign the house rules", "visit the workshop"], "The trial period ends after six months.",
         [("What will I do in my first week?", ALL, ""), ("When does the trial period end?", "text", "after six months")]),
        ("Accounts", "Everybody has one account.", "Passwords", "A password has to contain:", False,
         [f"at least {length} characters", "a digit", "a capital letter", "a punctuation mark"], f"Locked accounts open again after {hours_}.",
         [("What must a password contain?", ALL, ""), ("How many characters must a password have?", 0, length), ("After how many hours do locked accounts open again?", "text", hours_)]),
        ("Emergencies", "Stay calm and warn the others.", "Emergency numbers", "", False, numbers, "Calls are free.",
         [("What are the emergency numbers?", ALL, ""), ("What is the number of the coast guard?", 2, numbers[2].split(": ")[1])]),
        ("Refunds", "Keep your receipt.", "Money back", "You get your money back if:", False,
         ["the course is cancelled", "you fall ill before the first lesson", "the group is full"], f"Refunds are paid within {pay_by}.",
         [("When do I get my money back?", ALL, ""), ("Within how many days are refunds paid?", "text", pay_by)]),
        ("Walking tour", "The tour starts at the station.", "Stops", "The tour visits these places, in this order:", True, stops, "Dogs are welcome.",
         [("Which places does the tour visit?", ALL, ""), ("Where does the tour start?", "text", "at the station")]),
    ]
    contacts = [f"{who}: {d.phone()}" for who in ("Secretaria", "Tesouraria", "Biblioteca", "Portaria")]
    age, soup = d.number(16, 35, " anos"), some(d, ["duas batatas", "uma cebola", "três cenouras", "um nabo", "azeite", "sal"], 4)
    portuguese = [
        ("Concurso", "O concurso abre em março.", "Requisitos", "Os candidatos devem:", False,
         [f"ter mais de {age}", "saber nadar", "residir no concelho", "entregar um registo criminal"], "As provas são em abril.",
         [("O que devem fazer os candidatos?", ALL, ""), ("Que idade devem ter os candidatos?", 0, f"mais de {age}"), ("Em que mês são as provas?", "text", "abril")]),
        ("Reembolsos", "Guarde o recibo.", "Devolução", "O dinheiro é devolvido quando:", False, ["o curso é cancelado", "o aluno adoece", "a turma está cheia"],
         "O pagamento é por transferência.", [("Quando é devolvido o dinheiro?", ALL, ""), ("Como é feito o pagamento?", "text", "por transferência")]),
        ("Escola", "A escola tem quatro serviços.", "Contactos", "", False, contacts, "O atendimento é de manhã.",
         [("Quais são os contactos da escola?", ALL, ""), ("Qual é o contacto da tesouraria?", 1, contacts[1].split(": ")[1])]),
        ("Programa de contas", "O programa é gratuito.", "Instalação", "Para instalar o programa:", True,
         ["Descarregue o ficheiro.", "Abra o instalador.", "Aceite a licença.", "Reinicie o computador."], "A versão atual é de maio.",
         [("Como se instala o programa?", ALL, ""), ("De que mês é a versão atual?", "text", "maio")]),
        ("Sopa de legumes", "Serve-se quente.", "Ingredientes", "Precisa de:", False, soup, "Coze em vinte minutos.",
         [("Quais são os ingredientes da sopa?", ALL, ""), ("De que ingredientes se precisa para a sopa de legumes?", ALL, "")]),
    ]
    return english, portuguese


def lines_of(numbered, items):
    return "\n".join(f"{i}. {item}" if numbered else f"- {item}" for i, item in enumerate(items, 1))


def markdown(title, before, heading, announced, numbered, items, after):
    return f"# {title}\n\n{before}\n\n## {heading}\n\n" + (announced + "\n\n" if announced else "") + lines_of(numbered, items) + f"\n\n{after}\n"


def page(title, before, heading, announced, numbered, items, after):
    tag = "ol" if numbered else "ul"
    return (f"<html><head><meta charset='utf-8'><title>{title}</title></head><body><h1>{title}</h1><p>{before}</p><h2>{heading}</h2>\n" +
            (f"<p>{html.escape(announced)}</p>\n" if announced else "") + f"<{tag}>\n" + "".join(f"<li>{html.escape(item)}</li>\n" for item in items) +
            f"</{tag}>\n<p>{after}</p></body></html>\n")


def write_sets(out, drawn_later):
    """Writes OUT/LANG/* and OUT/LANG.jsonl; returns the questions by language."""
    questions, draw = {"en": [], "pt": []}, Draw("lists")
    for lang, documents in zip(("en", "pt"), later(draw) if drawn_later else (english(draw), portuguese(draw))):
        folder = out / lang
        folder.mkdir(parents=True, exist_ok=True)
        for number, (*document, asked) in enumerate(documents):
            name = f"{number:02d}." + ("html" if number % 3 == 2 else "md")
            (folder / name).write_text((page if name.endswith("html") else markdown)(*document), encoding="utf-8")
            *_, announced, numbered, items, _ = document
            whole = lines_of(numbered, items)
            for question, wanted, answer in asked:
                answers = [whole, f"{announced}\n{whole}"] if wanted is ALL else [answer]
                questions[lang].append({"question": question, "answers": answers, "document": name, "source": document[0]})
        (out / f"{lang}.jsonl").write_text("".join(json.dumps(q, ensure_ascii=False) + "\n" for q in questions[lang]), encoding="utf-8")
    return questions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--later", action="store_true", help="the documents that were written when the rules for lists were done")
    args = parser.parse_args()
    for lang, questions in write_sets(args.out, args.later).items():
        print(f"{lang}: {len(questions)} questions, {sum(len(q['answers']) > 1 for q in questions)} of which ask for a list")


if __name__ == "__main__":
    main()
