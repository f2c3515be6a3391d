"""What the page of a feed says itself, in the feed's language where we have it, else in English."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.kit import languages


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's words. `steps` are how to subscribe; `first` stands beside the address that suits everybody."""

    subscribe: str
    what: str
    what_text: str
    how: str
    steps: tuple[str, ...]
    first: str
    hub: str
    newest: str
    none: str
    updated: str
    changed: str
    calendar: languages.Calendar


ENGLISH = Phrases(
    subscribe="Subscribe",
    what="What this is",
    what_text=(
        "This is a feed: a list of the newest articles that a feed reader looks at for you. "
        "You see what is new without visiting the site, and need neither an account nor an e-mail address."
    ),
    how="How to subscribe",
    steps=(
        "Take a feed reader: an app, a website or a program; there are many, also free ones.",
        "Choose “add feed” or “follow” there.",
        "Give it one of these addresses, or the address of this page.",
    ),
    first="– if in doubt, this one",
    hub="Programs need not ask again and again: this hub tells them of news at once.",
    newest="Newest articles",
    none="Nothing has been published here yet.",
    updated="updated",
    changed="Last change:",
    calendar=languages.ENGLISH,
)

RUSSIAN = Phrases(
    subscribe="Подписка",
    what="Что это такое",
    what_text=(
        "Это лента: список новых статей, за которым вместо вас следит программа для чтения лент. "
        "Вы видите новое, не заходя на сайт; ни учётная запись, ни адрес почты не нужны."
    ),
    how="Как подписаться",
    steps=(
        "Возьмите программу для чтения лент: приложение, сайт или программу; их много, есть и бесплатные.",
        "Выберите в ней «добавить ленту» или «подписаться».",
        "Укажите один из этих адресов или адрес этой страницы.",
    ),
    first="– если сомневаетесь, возьмите этот",
    hub="Программам не нужно спрашивать снова и снова: этот хаб сразу сообщает им о новом.",
    newest="Новые статьи",
    none="Здесь пока ничего не опубликовано.",
    updated="обновлено",
    changed="Последнее изменение:",
    calendar=languages.RUSSIAN,
)

ARABIC = Phrases(
    subscribe="اشتراك",
    what="ما هذا؟",
    what_text=(
        "هذه خلاصة: قائمة بأحدث المقالات يتابعها قارئ الخلاصات نيابةً عنك. "
        "ترى الجديد من دون زيارة الموقع، ولا تحتاج إلى حساب ولا إلى بريد إلكتروني."
    ),
    how="كيف تشترك",
    steps=(
        "اختر قارئ خلاصات: تطبيقًا أو موقعًا أو برنامجًا؛ وهي كثيرة، ومنها المجاني.",
        "اختر فيه «إضافة خلاصة» أو «متابعة».",
        "أعطه أحد هذه العناوين، أو عنوان هذه الصفحة.",
    ),
    first="– إن لم تكن متأكدًا فاختر هذا",
    hub="لا تحتاج البرامج إلى السؤال مرة بعد مرة: هذا الموزّع يخبرها بالجديد فورًا.",
    newest="أحدث المقالات",
    none="لم يُنشر شيء هنا بعد.",
    updated="آخر تحديث",
    changed="آخر تغيير:",
    calendar=languages.ARABIC,
)

SPANISH = Phrases(
    subscribe="Suscribirse",
    what="Qué es esto",
    what_text=(
        "Esto es un canal: una lista de los artículos más recientes que un lector de canales consulta por usted. "
        "Verá las novedades sin visitar el sitio, sin cuenta y sin dirección de correo."
    ),
    how="Cómo suscribirse",
    steps=(
        "Elija un lector de canales: una aplicación, un sitio web o un programa; hay muchos, también gratuitos.",
        "Elija en él «añadir canal» o «seguir».",
        "Indique una de estas direcciones o la de esta página.",
    ),
    first="– en caso de duda, esta",
    hub="Los programas no tienen que preguntar una y otra vez: este hub les avisa al instante.",
    newest="Artículos más recientes",
    none="Aquí todavía no se ha publicado nada.",
    updated="actualizado",
    changed="Último cambio:",
    calendar=languages.SPANISH,
)

FRENCH = Phrases(
    subscribe="S’abonner",
    what="De quoi s’agit-il ?",
    what_text=(
        "Ceci est un flux : une liste des derniers articles qu’un lecteur de flux consulte pour vous. "
        "Vous voyez les nouveautés sans passer par le site, sans compte ni adresse électronique."
    ),
    how="Comment s’abonner",
    steps=(
        "Choisissez un lecteur de flux : une application, un site ou un programme ; il y en a beaucoup, aussi gratuits.",
        "Choisissez-y « ajouter un flux » ou « suivre ».",
        "Donnez-lui l’une de ces adresses, ou celle de cette page.",
    ),
    first="– dans le doute, celle-ci",
    hub="Les programmes n’ont pas à demander sans cesse : ce hub les avertit aussitôt.",
    newest="Derniers articles",
    none="Rien n’a encore été publié ici.",
    updated="mis à jour le",
    changed="Dernier changement :",
    calendar=languages.FRENCH,
)

GERMAN = Phrases(
    subscribe="Abonnieren",
    what="Was das ist",
    what_text=(
        "Das ist ein Feed: eine Liste der neuesten Artikel, die ein Feedreader für Sie im Blick behält. "
        "Sie sehen Neues, ohne die Seite zu besuchen, und brauchen weder ein Konto noch eine E-Mail-Adresse."
    ),
    how="So abonnieren Sie",
    steps=(
        "Nehmen Sie einen Feedreader: eine App, eine Website oder ein Programm; es gibt viele, auch kostenlose.",
        "Wählen Sie dort „Feed hinzufügen“ oder „Folgen“.",
        "Geben Sie eine dieser Adressen an oder die Adresse dieser Seite.",
    ),
    first="– im Zweifel diese",
    hub="Programme müssen nicht immer wieder fragen: Dieser Hub meldet ihnen Neues sofort.",
    newest="Neueste Artikel",
    none="Hier ist noch nichts erschienen.",
    updated="aktualisiert am",
    changed="Letzte Änderung:",
    calendar=languages.GERMAN,
)

BY_LANGUAGE = {"en": ENGLISH, "ru": RUSSIAN, "ar": ARABIC, "es": SPANISH, "fr": FRENCH, "de": GERMAN}


def phrases_for(language: str) -> Phrases:
    """The words for a BCP 47 tag, by its primary language; English where we have none."""
    return BY_LANGUAGE.get(language.lower().split("-")[0], ENGLISH)
