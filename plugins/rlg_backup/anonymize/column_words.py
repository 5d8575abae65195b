"""What the name of a column says: phrases of several languages, and how surely each says it.

A weight is the share of columns of that name, by judgement, that hold what the phrase says: 0.9 means that the word is
used for little else, 0.3 that it takes the values, or the table's name, to be sure.
"""

from __future__ import annotations

from typing import Final

from .shapes import EMAIL, IP, PHONE

PERSONAL, GEOGRAPHY, MONEY, PLAIN = "personal", "geography", "money", "plain"

NAME, ADDRESS, BIRTH, IDENTITY, ACCOUNT = "name", "address", "birth", "identity", "account"
DEVICE, SENSITIVE, PLACE, AMOUNT = "device", "sensitive", "place", "amount"

CLASS_OF: Final = {PLACE: GEOGRAPHY, AMOUNT: MONEY}  # of every other kind: personal


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(","))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PHRASES: Final = {
    (EMAIL, 0.9): _phrases(
        "email, e mail, emails, emailaddress, mailaddress, correo electronico, courriel, epost, e post, e pos, "
        "barua pepe, imeyili, דואל, דוא ל, אימייל, электронная почта, メール, メールアドレス, 邮箱, 电子邮件, "
        "بريد, البريد الالكتروني, ईमेल"
    ),
    (EMAIL, 0.6): _phrases("mail, correo, epos, почта"),
    (PHONE, 0.9): _phrases(
        "phone, phones, phonenumber, telephone, telefon, telefonnummer, telefone, telefono, telefoon, cellphone, "
        "mobile number, mobile phone, cell number, contact number, msisdn, whatsapp, fax, celular, selfoon, "
        "handynummer, ucingo, simu, טלפון, נייד, телефон, 電話, 電話番号, 电话, 手机, هاتف, फोन"
    ),
    (PHONE, 0.6): _phrases("tel, mobile, mobil, movil, cell, gsm, handy"),
    (NAME, 0.9): _phrases(
        "full name, first name, last name, middle name, given name, family name, legal name, nick name, "
        "maiden name, display name, screen name, preferred name, birth name, fullname, firstname, lastname, "
        "fname, lname, next of kin, emergency contact, spouse, guardian, "
        "middlename, surname, forename, nickname, displayname, contact person, cardholder, vorname, nachname, "
        "familienname, prenom, nom famille, nombre completo, apellido, apellidos, sobrenome, cognome, voornaam, "
        "achternaam, imie, nazwisko, jmeno, prijmeni, isibongo, igama lomuntu, שם פרטי, שם משפחה, שם מלא, "
        "фамилия, отчество, 姓名, 氏名, 苗字, الاسم الكامل, اسم العائلة"
    ),
    (NAME, 0.8): _phrases("user name, username, login name"),
    (NAME, 0.3): _phrases("name, names, nom, nombre, nome, naam, igama, jina, שם, имя, 名前, 名字, اسم, नाम"),
    (ADDRESS, 0.9): _phrases(
        "street address, home address, postal address, mailing address, billing address, shipping address, "
        "delivery address, address line, streetaddress, strasse, hausnummer, house number, street number"
    ),
    (ADDRESS, 0.8): _phrases(
        "street, adresse, adres, direccion, endereco, indirizzo, domicilio, domicile, ikheli, anwani, straat, "
        "כתובת, רחוב, адрес, улица, 住所, 地址, عنوان, पता"
    ),
    (ADDRESS, 0.6): _phrases("address, addr"),
    (BIRTH, 0.9): _phrases(
        "date of birth, birth date, birthdate, birthday, birth day, birth year, dob, dateofbirth, geburtsdatum, "
        "geburtstag, date naissance, naissance, fecha nacimiento, nacimiento, data nascimento, nascimento, "
        "nascita, geboortedatum, urodzenia, תאריך לידה, לידה, рождения, 生年月日, 出生, ميلاد, जन्म"
    ),
    (IDENTITY, 0.9): _phrases(
        "national id, id number, id no, id card, identity number, identity card, identity document, ssn, sin number, "
        "social security, passport, passport number, passportnumber, tax id, tax number, tax no, taxid, "
        "insurance number, insurance no, nin, bvn, cpf, curp, dni, "
        "cedula, pesel, nino, personnummer, steuernummer, steuer id, sozialversicherungsnummer, aadhaar, "
        "numero securite sociale, codice fiscale, teudat zehut, driver license, drivers license, "
        "driving license, driver licence, drivers licence, driving licence, license plate, number plate, "
        "תעודת זהות, מספר זהות, инн, снилс, паспорт, 身份证, マイナンバー, رقم الهوية"
    ),
    (ACCOUNT, 0.9): _phrases(
        "iban, bank account, account number, account no, kontonummer, card number, card no, cardnumber, credit card, "
        "debit card, kartennummer, cvv, cvc, routing number, sort code, numero compte, numero cuenta"
    ),
    (IP, 0.9): _phrases("ip, ip address, ipaddress, ipaddr, ipv4, ipv6, client ip, remote addr, remote ip, signup ip"),
    (DEVICE, 0.7): _phrases(
        "user agent, useragent, device id, mac address, imei, advertising id, idfa, twitter handle, instagram handle"
    ),
    (SENSITIVE, 0.7): _phrases(
        "gender, sex, religion, ethnicity, nationality, citizenship, marital status, sexual orientation, diagnosis, "
        "blood type, disability, health status, medical history, medical notes, medical record, allergies, hiv, "
        "biometric, biometrics"
    ),
    (PLACE, 0.8): _phrases(
        "country, countries, region, city, cities, town, province, county, district, suburb, village, continent, "
        "municipality, postcode, zip, zipcode, postal code, plz, latitude, longitude, lat, lon, lng, geo, "
        "territory, locality, pays, ville, pais, ciudad, cidade, citta, stadt, stad, land, מדינה, עיר, страна, "
        "город, 国, 都市, 国家, 城市, بلد, مدينة"
    ),
    (AMOUNT, 0.8): _phrases(
        "amount, price, cost, fee, fees, total, subtotal, balance, revenue, income, salary, wage, budget, tax, "
        "vat, discount, cents, currency, payout, refund, tier, rate, preis, betrag, prix, montant, precio, "
        "importe, preco, prezzo, prijs, מחיר, סכום, цена, сумма, 価格, 金额, سعر, מטבע"
    ),
}
"""Kind and weight > phrases, as ``words_of`` gives their words."""

ABOUT: Final = _words(
    "id ids uuid key ref count counts at verified confirmed valid validated sent status state type kind "
    "template subject enabled disabled flag hash hashed hmac token domain provider format length size limit quota "
    "bounced opened clicked list lists version preferred score code codes label url path order index active opt optin "
    "frequency time date month year day language lang locale class model "
)
"""Words after which a phrase speaks of something about it: ``email_status``, ``name_id``, ``phone_verified_at``."""

ASKING: Final = _words("is has had can needs wants allow num n")
"""Words before which say the same: ``has_phone``."""

PERSONS: Final = _words(
    "person people user customer client member employee staff contact patient student guest subscriber fan "
    "author recipient creator applicant candidate tenant passenger driver teacher parent child owner payer "
    "beneficiary holder account lead visitor donor buyer seller player doctor nurse worker agent colleague "
    "sender receiver kunde kunden mitarbeiter benutzer personne utilisateur cliente persona personas usuario "
    "pessoa utente klant gebruiker umuntu abantu mtu watu klient klienci לקוח אדם אנשים משתמש עובד клиент "
    "человек люди пользователь 顧客 客户 人 用户 عميل شخص "
)
"""Words of tables, and before ``name``, that make it the name of somebody."""
