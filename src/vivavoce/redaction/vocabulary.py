"""The words that rules go by: numbers and letters as they are said, and what announces a piece of personal data."""

from __future__ import annotations

from importlib import resources


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DIGITS = {
    **{"zero": "0", "oh": "0", "o": "0", "nought": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5"},
    **{"six": "6", "seven": "7", "eight": "8", "nine": "9"},
    **{"cero": "0", "uno": "1", "dos": "2", "tres": "3", "cuatro": "4", "cinco": "5", "seis": "6", "siete": "7"},
    **{"ocho": "8", "nueve": "9"},
    **{"zéro": "0", "deux": "2", "trois": "3", "quatre": "4", "cinq": "5", "sept": "7", "huit": "8", "neuf": "9"},
    **{"null": "0", "eins": "1", "zwei": "2", "zwo": "2", "drei": "3", "vier": "4", "fünf": "5", "sechs": "6"},
    **{"sieben": "7", "acht": "8", "neun": "9"},
}
TEENS = {
    **{"ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14", "fifteen": "15"},
    **{"sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19"},
}
TENS = {
    **{"twenty": "2", "thirty": "3", "forty": "4", "fifty": "5", "sixty": "6", "seventy": "7", "eighty": "8"},
    "ninety": "9",
    **{
        "veinte": "2",
        "treinta": "3",
        "cuarenta": "4",
        "cincuenta": "5",
        "sesenta": "6",
        "setenta": "7",
        "ochenta": "8",
    },
    **{"noventa": "9", "vingt": "2", "trente": "3", "quarante": "4", "cinquante": "5", "soixante": "6"},
}
LETTERS = {"zed": "z", "zee": "z", "aitch": "h", "haitch": "h"}
REPEATS = {"double": 2, "triple": 3, "treble": 3}
NATO = {
    word: word[0]
    for word in (
        "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa"
        " quebec romeo sierra tango uniform victor whiskey whisky xray yankee zulu"
    ).split()
}
NUMBERS = frozenset((*DIGITS, *TEENS, *TENS))
FILLERS = _words("um uh uhm er erm eh hmm hm ah äh euh ehm")
DASHES = _words("dash hyphen slash stroke guion tiret strich")

MONTHS = _words(
    "january february march april may june july august september october november december"
    " jan feb mar apr jun jul aug sep sept oct nov dec"
    " enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
    " janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
    " januar februar märz juni juli oktober dezember"
)
ORDINALS = _words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth thirtieth"
)

# What is said before a value, and what the value then is. Where several stand before it, the nearest speaks.
CUES = {
    "payment_card": _words(
        "card visa mastercard amex maestro debit credit karte kreditkarte tarjeta carte pan ending ends digits numbers four six"
    ),
    "card_security": _words(
        "cvv cvc cv2 cvv2 cid csc cvn strip cryptogramme prüfnummer kartenprüfnummer expiry expires expiring expire exp expiration valid gültig prüfziffer caduca caducidad"
        " expire cryptogramme back security"
    ),
    "bank_account": _words(
        "sc sort routing iban bsb swift checking savings acct konto kontonummer cuenta compte rib blz bic ifsc transit"
        " giro bank"
    ),
    "national_id": _words(
        "ssn social insurance nino ni nhs pps ppsn tfn tax sin aadhaar aadhar pan dni nie nif curp steuer steuernummer"
        " steueridentifikationsnummer personalausweis ausweis sécurité sociale medicare id national identity itin"
        " identidad sozialversicherungsnummer identité nir n.i n.h.s insee fiscal"
    ),
    "passport": _words("passport passports passport's passeport pasaporte reisepass pass"),
    "driving_licence": _words(
        "licence license licences licenses driver's drivers driving führerschein permis permiso conducir lic dl licence's"
    ),
    "vehicle_plate": _words(
        "plate plates reg registration registered rego matrícula matricula plaque immatriculation immatriculée kennzeichen"
        " vehicle numberplate car van motorbike truck"
    ),
    "account_number": _words(
        "account accounts customer cust member membership policy patient booking order reference ref claim ticket loyalty"
        " tracking invoice confirmation reservation case kundennummer kd kunde vertragsnummer bestellung bestellnummer"
        " auftrag pedido cliente póliza référence client contrat commande dossier hospital subscriber acc student"
        " mitgliedsnummer reserva expediente mrn acct frequent flyer pnr incident meter's patient's job record"
        " order's reference's membership's kundennr vorgang rechnung réservation parcel shipment locator quote"
    ),
    "secret": _words(
        "pin password passcode passphrase passwort kennwort contraseña clave otp 2fa code verification pwd pw passwd"
        " one-time onetime memorable códigos código codes pins password's pin's"
    ),
    "phone": _words(
        "phone mobile cell telephone tel call ring text whatsapp number móvil teléfono handy telefon telefonnummer portable"
        " téléphone numéro número landline callback contact reach cellphone mob handynummer rufnummer last nummer numero"
        " mobile's cell's number's home dial sms"
    ),
    "postcode": _words("postcode postal zip plz postleitzahl cp zipcode postcode's eircode pincode"),
    "date_of_birth": _words(
        "born birth dob birthday birthdate d.o.b née né nací nació nacimiento nacido nacida geboren geburtsdatum geb"
        " naissance birthday's geburtstag cumpleaños anniversaire bday"
    ),
    "ip_address": _words("ip ipv4 ipv6 gateway dns router"),
}
CUE_OF = {word: category for category, words in CUES.items() for word in words}

# What a number is about when it is nobody's.
UNITS = _words(
    "am pm o'clock oclock quid pounds pound dollars dollar bucks euros euro cents pence percent gig gigs gb mb megs tb minutes"
    " minute mins hours hour hrs days day nights night weeks week months month years year people guests persons adults miles"
    " mile km kilometres metres meters feet foot inches inch kg grams grand points stars star percent litres liters uhr"
    " personen jahre tage heures personnes ans jours nuits euros años días noches personas degrees watts volts mbps items"
    " copies pieces boxes bottles tickets rooms beds slices k x mph megabits seats bags spots acres square bedrooms"
)
THINGS = _words(
    "size sizes model flight room terminal gate table page version row aisle chapter item sku platform channel episode"
    " season windows reading readings temperature level step option building's junction exit bus train route zone score"
    " chapter section article volume build firmware error gallery iphone galaxy playstation xbox lane's"
)
MONEY = frozenset("£$€¥₹")

TITLES = _words(
    "mr mrs ms miss mister missus dr doctor prof professor sir madam herr frau madame monsieur señor señora señorita don doña"
    " mademoiselle mme mlle m sr sra srta"
)
KIN = _words(
    "husband wife son daughter brother sister mum mom mother dad father nephew niece uncle aunt cousin partner boss friend"
    " grandson granddaughter nan gran grandma grandad flatmate roommate colleague neighbour neighbor fiancé fiancée fiance"
    " fiancee hermano hermana hijo hija marido mujer esposo esposa padre madre amigo amiga frère sœur soeur fils fille mari"
    " femme père mère bruder schwester sohn tochter mann vater mutter freund freundin carer solicitor accountant"
    " boyfriend girlfriend ex stepson stepdaughter twin"
)
GREETINGS = _words(
    "hi hello hey thanks thank thankyou okay ok right sorry dear cheers morning afternoon evening bye goodbye perfect great"
    " lovely brilliant hola gracias bonjour merci hallo danke guten buenas welcome"
)


def _listed(name: str) -> frozenset[str]:
    return frozenset(resources.files("vivavoce.redaction").joinpath(name).read_text("utf-8").split())


FIRST_NAMES = _listed("first_names.txt")
ENGLISH_WORDS = _listed("english_words.txt")  # in lower case; first names are not among them
COMMON_WORDS = _listed("common_words.txt")  # that are hardly ever anybody's name
# First names that are words as well: names only where something says so.
ALSO_WORDS = _words(
    "said lynn das will mark may june april august grace hope rose bill sunny dawn faith joy jack frank rob bob pat sue art ray jay drew"
    " chase grant miles victor violet ivy lily olive poppy daisy jasmine ginger ruby pearl amber crystal jade summer autumn"
    " angel christian dean earl guy gene glen harry lance max mercy norm page penny peg pierce prince ralph randy reed rich"
    " robin rusty skip stew tony trip van wade ward woody carol dolly dot eve gay gale ginger heather holly iris jean"
    " jewel joey kitty marina melody misty myrtle pansy patience prudence robin sandy sky star stormy terry trinity tuesday"
    " wren bella blue chance chip cliff clay colt cash duke finch forest fox hunter king major mason mike ocean paris phoenix"
    " porter rain river sage sawyer scout stone storm taylor teller tyler west winter wolf ben an al don ed jo so can my mon"
    " art charlie romeo juliet victoria india florence sydney austin chelsea jordan israel kent"
    " lincoln madison brooklyn dallas denver georgia virginia carolina savannah vienna roman nice deal"
    " long young say long do he she sun san rio mai june juin juli"
    " sol luz paz nieves flor linda bonita angel mercedes santiago valencia barcelona petit"
    " echo alpha delta oscar papa mike kilo lima golf hotel tango bravo foxtrot sierra whiskey quebec uniform yankee zulu"
)
