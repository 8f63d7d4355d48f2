# ruff: noqa: RUF001 - other scripts are the point of these names
"""Words the world is made of: names, places, trades and the ways of writing a telephone number.

Pure data. A spelling is `native`, or `native|latin` where the script differs, or
`native|latin|nickname` where people use a short form.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Locale:
    """One country's way of naming and addressing people.

    Attributes:
        weight: how frequent its people are.
        dial: the international prefix without plus.
        trunk: what is dialled before the area code inside the country.
        areas: area or mobile codes.
        cities: `city|region` pairs.
    """

    code: str
    country: str
    language: str
    currency: str
    weight: float
    dial: str
    trunk: str
    areas: tuple[str, ...]
    given: tuple[str, ...]
    family: tuple[str, ...]
    cities: tuple[str, ...]
    streets: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().replace("_", " ") for word in text.split(","))


LOCALES = (
    Locale(
        "US",
        "United States",
        "en_US",
        "USD",
        0.38,
        "1",
        "",
        ("212", "415", "312", "617", "206", "512", "303", "404"),
        _words(
            "Robert||Bob,William||Bill,Elizabeth||Liz,Margaret||Peggy,Richard||Dick,James||Jim,"
            "Katherine||Kate,Michael||Mike,Jennifer||Jen,Christopher||Chris,Deborah||Debbie,"
            "Anthony||Tony,Patricia||Pat,Edward||Ted,Joseph||Joe,Rebecca||Becky,Thomas||Tom,"
            "Susan||Sue,Daniel||Dan,Samantha||Sam,Linda,Karen,Ashley,Brian,Kevin,Laura,Aaron,Denise"
        ),
        _words(
            "Smith,Johnson,Williams,Brown,Jones,Garcia,Miller,Davis,Rodriguez,Martinez,Hernandez,"
            "Lopez,Gonzalez,Wilson,Anderson,Thomas,Taylor,Moore,Jackson,Martin,Lee,Perez,Thompson,"
            "White,Harris,Sanchez,Clark,Ramirez,Lewis,Robinson,Walker,Young,Allen,King,Wright,Scott,"
            "O'Brien,Nguyen,Hill,Flores,Green,Adams,Nelson,Baker,Hall,Rivera,Campbell,Mitchell,Carter"
        ),
        _words(
            "New_York|NY,San_Francisco|CA,Chicago|IL,Boston|MA,Seattle|WA,Austin|TX,Denver|CO,Atlanta|GA"
        ),
        _words("Main St,Oak Ave,Market St,Broadway,2nd Ave,Elm Street,Washington Blvd,Lake Dr"),
    ),
    Locale(
        "GB",
        "United Kingdom",
        "en_GB",
        "GBP",
        0.12,
        "44",
        "0",
        ("20", "161", "121", "131", "113"),
        _words(
            "Oliver||Ollie,Alexander||Alex,Victoria||Vicky,Charlotte||Lottie,Harry,George,Amelia||Millie,"
            "Benjamin||Ben,Nicholas||Nick,Eleanor||Ellie,Siobhan,Rhys,Fiona,Alasdair,Gemma,Nigel"
        ),
        _words(
            "Smith,Evans,Davies,Hughes,Edwards,Patel,Khan,Wood,Turner,Ward,Cooper,Morris,MacDonald,"
            "Campbell,Stewart,Fraser,Begum,Shaw,Holmes,Fletcher,Pugh,Whitaker,Ashworth,Singh"
        ),
        _words("London|,Manchester|,Birmingham|,Edinburgh|Scotland,Leeds|"),
        _words("High Street,Station Road,Church Lane,Victoria Road,King's Road"),
    ),
    Locale(
        "DE",
        "Germany",
        "de",
        "EUR",
        0.12,
        "49",
        "0",
        ("30", "89", "40", "69", "221"),
        _words(
            "Jürgen|Juergen,Müge|Muege,Wolfgang||Wolf,Sabine||Bine,Stefan,Björn|Bjoern,Katharina||Kathi,"
            "Andreas||Andi,Ulrike||Uli,Jörg|Joerg,Maximilian||Max,Günther|Guenther,Heike,Anja"
        ),
        _words(
            "Müller|Mueller,Schmidt,Schneider,Fischer,Weber,Schröder|Schroeder,Köhler|Koehler,Groß|Gross,"
            "Jäger|Jaeger,Krüger|Krueger,Hoffmann,Schäfer|Schaefer,Bauer,Vogel,Weiß|Weiss,Lang,Böhm|Boehm"
        ),
        _words(
            "Berlin|Berlin,München|Bayern,Hamburg|Hamburg,Frankfurt_am_Main|Hessen,Köln|Nordrhein-Westfalen"
        ),
        _words("Hauptstraße,Bahnhofstraße,Goethestr.,Schillerweg,Am Markt"),
    ),
    Locale(
        "FR",
        "France",
        "fr",
        "EUR",
        0.08,
        "33",
        "0",
        ("1", "4", "5", "6", "7"),
        _words(
            "Jérôme|Jerome,François|Francois,Hélène|Helene,Chloé|Chloe,Anaïs|Anais,Benoît|Benoit,"
            "Frédéric|Frederic|Fred,Aurélie|Aurelie,Thierry,Sylvie,Océane|Oceane,Étienne|Etienne"
        ),
        _words(
            "Lefèvre|Lefevre,Moreau,Garçon|Garcon,Dubois,Béranger|Beranger,Fournier,D'Artagnan,Petit,"
            "Núñez|Nunez,Rousseau,Giraud,Lemaître|Lemaitre,Noël|Noel,Chevalier"
        ),
        _words("Paris|Île-de-France,Lyon|Auvergne-Rhône-Alpes,Toulouse|Occitanie,Marseille|PACA"),
        _words("rue de la Paix,avenue Foch,boulevard Voltaire,place de l'Église"),
    ),
    Locale(
        "ES",
        "Spain",
        "es",
        "EUR",
        0.07,
        "34",
        "",
        ("91", "93", "96", "95", "60"),
        _words(
            "José|Jose|Pepe,Francisco||Paco,María|Maria,Íñigo|Inigo,Ángel|Angel,Concepción|Concepcion|Concha,"
            "Begoña|Begona,Javier||Javi,Lucía|Lucia,Sebastián|Sebastian"
        ),
        _words(
            "García López|Garcia Lopez,Fernández|Fernandez,Muñoz|Munoz,Ibáñez|Ibanez,Peña Ruiz|Pena Ruiz,"
            "Gómez|Gomez,Castaño|Castano,Ortega,Vázquez|Vazquez,Domínguez|Dominguez"
        ),
        _words("Madrid|Madrid,Barcelona|Cataluña,Valencia|Valencia,Sevilla|Andalucía"),
        _words("Calle Mayor,Gran Vía,Paseo del Prado,Avenida de la Constitución"),
    ),
    Locale(
        "BR",
        "Brazil",
        "pt_BR",
        "BRL",
        0.05,
        "55",
        "0",
        ("11", "21", "31", "51"),
        _words(
            "João|Joao,Conceição|Conceicao,Luís|Luis,Antônio|Antonio|Tonho,Letícia|Leticia,Thaís"
        ),
        _words(
            "da Silva,Gonçalves|Goncalves,Araújo|Araujo,dos Santos,Guimarães|Guimaraes,Assunção"
        ),
        _words("São_Paulo|SP,Rio_de_Janeiro|RJ,Belo_Horizonte|MG,Porto_Alegre|RS"),
        _words("Avenida Paulista,Rua das Flores,Rua XV de Novembro"),
    ),
    Locale(
        "PL",
        "Poland",
        "pl",
        "PLN",
        0.04,
        "48",
        "",
        ("22", "12", "61", "50"),
        _words(
            "Łukasz|Lukasz,Małgorzata|Malgorzata|Gosia,Paweł|Pawel,Agnieszka||Aga,Żaneta|Zaneta"
        ),
        _words(
            "Wójcik|Wojcik,Kowalczyk,Wiśniewska|Wisniewska,Zieliński|Zielinski,Dąbrowski|Dabrowski"
        ),
        _words("Warszawa|Mazowieckie,Kraków|Małopolskie,Poznań|Wielkopolskie"),
        _words("ul. Długa,ul. Piękna,al. Jerozolimskie"),
    ),
    Locale(
        "TR",
        "Turkey",
        "tr",
        "TRY",
        0.03,
        "90",
        "0",
        ("212", "312", "232", "532"),
        _words("İbrahim|Ibrahim,Ayşe|Ayse,Çağla|Cagla,Mehmet,Işıl|Isil,Gülşen|Gulsen"),
        _words("Yılmaz|Yilmaz,Çelik|Celik,Öztürk|Ozturk,Şahin|Sahin,Güneş|Gunes"),
        _words("İstanbul|,Ankara|,İzmir|"),
        _words("İstiklal Cad.,Bağdat Caddesi,Atatürk Bulvarı"),
    ),
    Locale(
        "JP",
        "Japan",
        "ja",
        "JPY",
        0.04,
        "81",
        "0",
        ("3", "6", "52", "90"),
        _words("陽子|Yoko,健太|Kenta,美咲|Misaki,大輔|Daisuke,さくら|Sakura,翔|Sho"),
        _words("佐藤|Sato,鈴木|Suzuki,高橋|Takahashi,田中|Tanaka,渡辺|Watanabe,伊藤|Ito"),
        _words("東京|東京都,大阪|大阪府,名古屋|愛知県"),
        _words("丸の内1丁目,梅田2丁目,栄3丁目"),
    ),
    Locale(
        "UA",
        "Ukraine",
        "uk",
        "UAH",
        0.03,
        "380",
        "0",
        ("44", "32", "67", "50"),
        _words("Олександр|Oleksandr|Сашко,Ірина|Iryna,Юлія|Yuliia,Дмитро|Dmytro|Діма"),
        _words("Шевченко|Shevchenko,Ковальчук|Kovalchuk,Бойко|Boiko,Щербак|Shcherbak"),
        _words("Київ|,Львів|Львівська,Одеса|Одеська"),
        _words("вул. Хрещатик,просп. Свободи,вул. Дерибасівська"),
    ),
    Locale(
        "AE",
        "United Arab Emirates",
        "ar",
        "AED",
        0.02,
        "971",
        "0",
        ("4", "2", "50"),
        _words("محمد|Mohammed|Mo,فاطمة|Fatima,يوسف|Yousef,عائشة|Aisha"),
        _words("الهاشمي|Al Hashimi,العلي|Al Ali,حداد|Haddad,المنصوري|Al Mansoori"),
        _words("دبي|,أبو_ظبي|"),
        _words("شارع الشيخ زايد,شارع الكورنيش"),
    ),
    Locale(
        "CN",
        "China",
        "zh_CN",
        "CNY",
        0.02,
        "86",
        "0",
        ("10", "21", "138"),
        _words("伟|Wei,芳|Fang,秀英|Xiuying,敏|Min,丽|Li"),
        _words("王|Wang,李|Li,张|Zhang,刘|Liu,陈|Chen"),
        _words("北京|,上海|,深圳|广东"),
        _words("建国路,南京路,人民大道"),
    ),
)

TITLES = _words(
    "CEO,Chief Executive Officer,CFO,CTO,VP Sales,Vice President of Sales,Sales Director,Account Manager,"
    "Head of Procurement,Procurement Manager,IT Manager,Software Engineer,Sr. Software Engineer,"
    "Marketing Manager,Head of Marketing,Operations Lead,HR Business Partner,Office Manager,Consultant,"
    "Geschäftsführer,Directeur commercial,Gerente de Compras,営業部長,Assistant,Founder & CEO,Buyer"
)
DEPARTMENTS = _words("Sales,Marketing,Finance,IT,Operations,HR,Procurement,Legal,R&D,Executive")
INDUSTRIES = _words(
    "Technology,Banking,Healthcare,Manufacturing,Retail,Energy,Education,Telecommunications,Insurance,"
    "Transportation,Consulting,Food & Beverage"
)
COMPANY_HEADS = _words(
    "Northwind,Globex,Initech,Umbra,Acme,Vandelay,Hooli,Stark,Wayne,Cyberdyne,Soylent,Aperture,Tyrell,"
    "Wonka,Oceanic,Gringotts,Zephyr,Helios,Kestrel,Lumen,Orchid,Pinnacle,Quasar,Redwood,Sable,Tundra,"
    "Ümlaut,Société Verte,Kräuter,Ñandú,日の出,Вектор,Novaterra,Bluefin,Cobalt,Drift,Ember,Falcon"
)
COMPANY_SLUGS = _words(
    "northwind,globex,initech,umbra,acme,vandelay,hooli,stark,wayne,cyberdyne,soylent,aperture,tyrell,"
    "wonka,oceanic,gringotts,zephyr,helios,kestrel,lumen,orchid,pinnacle,quasar,redwood,sable,tundra,"
    "umlaut,societeverte,kraeuter,nandu,hinode,vektor,novaterra,bluefin,cobalt,drift,ember,falcon"
)
COMPANY_TRADES = _words(
    "Systems,Logistics,Foods,Capital,Pharma,Textiles,Media,Robotics,Energy,Consulting,Software,Steel,"
    "Health,Travel,Design,Analytics"
)
COMPANY_FORMS = _words("Inc.,LLC,Ltd,GmbH,S.A.,Corp.,AG,SARL,B.V.,株式会社")
TOP_DOMAINS = _words("com,com,com,io,net,de,co.uk,fr,eu")
FREE_MAIL = _words("gmail.com,outlook.com,yahoo.com,gmx.de,icloud.com,proton.me,web.de,orange.fr")
TYPO_DOMAINS = _words("gmial.com,gmail.con,hotmial.com,outlok.com,yahoo.cmo,gmail.co,gnail.com")
DISPOSABLE_DOMAINS = _words(
    "mailinator.com,10minutemail.com,guerrillamail.com,yopmail.com,trashmail.de"
)
ROLE_NAMES = _words("info,sales,office,contact,admin,support,billing,noreply")
PLACEHOLDER_MAILS = _words(
    "test@test.com,noemail@noemail.com,na@na.com,asdf@asdf.com,none@none.com,unknown@unknown.com,x@x.com"
)
PLACEHOLDER_PHONES = _words("0000000000,123-456-7890,555-0100,n/a,-,1111111111,(000) 000-0000,000")
NASTY_VALUES = (
    "01234",
    "NA",
    "NULL",
    "null",
    "nan",
    "None",
    "1e5",
    "1234567890123456789",
    "line one\nline two",
    "line one\r\nline two",
    'she said "hello"',
    "one, two, three",
    "  leading and trailing  ",
    "🚀 rocket 👩‍👩‍👧 family",
    "مرحبا بالعالم",
    "=SUM(1)",
    "true",
    "-",
    "#N/A",
    "tab\there",
    "back\\slash",
    "0.10",
)
LONG_TEXT = ("Lörem ipsüm dolor sit amet, " * 1200)[:30_000]
