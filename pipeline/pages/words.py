"""The few words a page says itself, in the article's language where we have it, else in English."""

# The words are in six languages, and their letters are the right ones.

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.kit import languages

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Words:
    """One language's words, and how it writes dates."""

    skip: str
    breadcrumb: str
    by: str
    comma: str
    last_comma: str
    published: str
    updated: str
    correction: str
    photo: str
    photos: str
    video: str
    share: str
    reached_at: str
    roku: str
    tags: str
    feeds: str
    home: str
    latest: str
    nothing: str
    withdrawn: str
    withdrawn_text: str
    withdrawn_at: str
    moved: str
    moved_text: str
    no_video: str
    calendar: languages.Calendar


ENGLISH = Words(
    skip="Skip to content",
    breadcrumb="Section",
    by="By",
    comma=", ",
    last_comma=" and ",
    published="Published",
    updated="Updated",
    correction="Correction",
    photo="Photograph",
    photos="Photographs",
    video="Video",
    share="Share this article",
    reached_at="This site can also be reached at",
    roku="Watch our channel on Roku",
    tags="Topics",
    feeds="Feeds",
    home="Home",
    latest="Latest news",
    nothing="Nothing has been published here yet.",
    withdrawn="This article has been withdrawn",
    withdrawn_text="The newsroom has withdrawn it, and it is no longer available.",
    withdrawn_at="Withdrawn",
    moved="This page has moved",
    moved_text="You will find it at",
    no_video="Your browser cannot play this video. It can be opened here:",
    calendar=languages.ENGLISH,
)

RUSSIAN = Words(
    skip="Перейти к тексту",
    breadcrumb="Раздел",
    by="Текст:",
    comma=", ",
    last_comma=" и ",
    published="Опубликовано",
    updated="Обновлено",
    correction="Исправление",
    photo="Фото",
    photos="Фото",
    video="Видео",
    share="Поделиться статьёй",
    reached_at="Сайт доступен также по адресам",
    roku="Наш канал на Roku",
    tags="Темы",
    feeds="Ленты",
    home="Главная",
    latest="Последние новости",
    nothing="Здесь пока ничего не опубликовано.",
    withdrawn="Статья отозвана",
    withdrawn_text="Редакция отозвала эту статью, и она больше недоступна.",
    withdrawn_at="Отозвана",
    moved="Страница переехала",
    moved_text="Её новый адрес:",
    no_video="Ваш браузер не может показать это видео. Открыть его можно здесь:",
    calendar=languages.RUSSIAN,
)

ARABIC = Words(
    skip="انتقل إلى المحتوى",
    breadcrumb="القسم",
    by="بقلم",
    comma="، ",
    last_comma=" و",
    published="نُشر في",
    updated="آخر تحديث",
    correction="تصحيح",
    photo="الصورة",
    photos="الصور",
    video="فيديو",
    share="شارك هذا المقال",
    reached_at="يمكن الوصول إلى هذا الموقع أيضًا عبر",
    roku="شاهد قناتنا على Roku",
    tags="مواضيع",
    feeds="الخلاصات",
    home="الصفحة الرئيسية",
    latest="آخر الأخبار",
    nothing="لم يُنشر شيء هنا بعد.",
    withdrawn="سُحب هذا المقال",
    withdrawn_text="سحبت هيئة التحرير هذا المقال، ولم يعد متاحًا.",
    withdrawn_at="سُحب في",
    moved="انتقلت هذه الصفحة",
    moved_text="تجدها على العنوان",
    no_video="لا يستطيع متصفحك تشغيل هذا الفيديو. يمكن فتحه هنا:",
    calendar=languages.ARABIC,
)

SPANISH = Words(
    skip="Saltar al contenido",
    breadcrumb="Sección",
    by="Por",
    comma=", ",
    last_comma=" y ",
    published="Publicado",
    updated="Actualizado",
    correction="Corrección",
    photo="Foto",
    photos="Fotos",
    video="Vídeo",
    share="Compartir este artículo",
    reached_at="Este sitio también está disponible en",
    roku="Vea nuestro canal en Roku",
    tags="Temas",
    feeds="Fuentes web",
    home="Inicio",
    latest="Últimas noticias",
    nothing="Aquí todavía no se ha publicado nada.",
    withdrawn="Este artículo ha sido retirado",
    withdrawn_text="La redacción lo ha retirado y ya no está disponible.",
    withdrawn_at="Retirado",
    moved="Esta página se ha trasladado",
    moved_text="La encontrará en",
    no_video="Su navegador no puede reproducir este vídeo. Puede abrirlo aquí:",
    calendar=languages.SPANISH,
)

FRENCH = Words(
    skip="Aller au contenu",
    breadcrumb="Rubrique",
    by="Par",
    comma=", ",
    last_comma=" et ",
    published="Publié le",
    updated="Mis à jour le",
    correction="Rectificatif",
    photo="Photo",
    photos="Photos",
    video="Vidéo",
    share="Partager cet article",
    reached_at="Ce site est aussi accessible à ces adresses",
    roku="Regardez notre chaîne sur Roku",
    tags="Thèmes",
    feeds="Flux",
    home="Accueil",
    latest="Dernières nouvelles",
    nothing="Rien n’a encore été publié ici.",
    withdrawn="Cet article a été retiré",
    withdrawn_text="La rédaction l’a retiré ; il n’est plus disponible.",
    withdrawn_at="Retiré le",
    moved="Cette page a changé d’adresse",
    moved_text="Vous la trouverez ici :",
    no_video="Votre navigateur ne peut pas lire cette vidéo. Elle peut être ouverte ici :",
    calendar=languages.FRENCH,
)

GERMAN = Words(
    skip="Zum Inhalt springen",
    breadcrumb="Ressort",
    by="Von",
    comma=", ",
    last_comma=" und ",
    published="Veröffentlicht am",
    updated="Aktualisiert am",
    correction="Korrektur",
    photo="Foto",
    photos="Fotos",
    video="Video",
    share="Diesen Artikel teilen",
    reached_at="Diese Seite ist auch erreichbar unter",
    roku="Unser Kanal auf Roku",
    tags="Themen",
    feeds="Feeds",
    home="Startseite",
    latest="Neueste Nachrichten",
    nothing="Hier ist noch nichts erschienen.",
    withdrawn="Dieser Artikel wurde zurückgezogen",
    withdrawn_text="Die Redaktion hat ihn zurückgezogen; er ist nicht mehr verfügbar.",
    withdrawn_at="Zurückgezogen am",
    moved="Diese Seite ist umgezogen",
    moved_text="Sie finden sie unter",
    no_video="Ihr Browser kann dieses Video nicht abspielen. Hier lässt es sich öffnen:",
    calendar=languages.GERMAN,
)

BY_LANGUAGE = {"en": ENGLISH, "ru": RUSSIAN, "ar": ARABIC, "es": SPANISH, "fr": FRENCH, "de": GERMAN}


def words_for(language: str) -> Words:
    """The words for a BCP 47 tag, by its primary language; English where we have none."""
    return BY_LANGUAGE.get(language.lower().split("-")[0], ENGLISH)


def date_line(moment: datetime, zone: ZoneInfo, words: Words) -> str:
    """Such as "16 November 2026, 09:30 UTC+3": the newsroom's wall clock, and how far it is from UTC."""
    return words.calendar.line(moment, zone)
