"""Mailboxes of functions, and words that people type into fields that they do not want to fill.

Names of RFC 2142 come from email-validator. No package is kept up for the others: those below are our own, collected
from the imprints and contact pages of companies in the languages named. Only names that are no given name stand here.
"""

from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

_ENGLISH = (
    "accounting accounts accountspayable admin administration administrator admissions ap ar billing board bookings bookkeeping "
    "careers company compliance contact contactus customercare customerservice customersupport data-protection "
    "dataprotection desk donotreply do-not-reply dpo editor email enquiries enquiry events everyone facilities feedback "
    "finance frontdesk fundraising general hello help helpdesk hi hr humanresources info-en inquiries inquiry investors "
    "invoice invoices it itsupport jobs legal logistics mail mailbox mailer-daemon main management media "
    "membership no-reply no_reply nobody noreply notifications office operations order orders partners partnerships "
    "payments payroll pr press privacy procurement purchasing quotes reception recruiting recruitment "
    "registrar reservations returns root sales-team secretary service services shipping shop staff subscribe "
    "supportteam sysadmin team tech techsupport technical tickets training unsubscribe warehouse web welcome"
)
_LOCALISED = {
    "de": "anfrage anfragen angebot auftrag bestellung bestellungen bewerbung bewerbungen buchhaltung buero datenschutz "
    "einkauf empfang geschaeftsleitung geschaeftsfuehrung kanzlei karriere kontakt kundendienst kundenservice leitung "
    "personal personalabteilung post praxis presse rechnung rechnungen redaktion sekretariat service-de technik "
    "verkauf versand vertrieb verwaltung zentrale",
    "fr": "accueil achats administratif commande commandes commercial communication compta comptabilite "
    "contactez-nous direction emploi facturation rh recrutement reservation secretariat serviceclient ventes",
    "es": "administracion atencion atencionalcliente clientes compras comunicacion contabilidad contacto facturacion "
    "gerencia oficina pedidos prensa recepcion recursoshumanos reservas rrhh secretaria soporte ventas",
    "it": "acquisti amministrazione assistenza commerciale contabilita contatti contatto direzione fatturazione "
    "informazioni ordini prenotazioni segreteria ufficio vendite",
    "pt": "atendimento comercial compras contato contabilidade faturamento financeiro geral sac suporte vendas",
    "nl": "administratie bestellingen boekhouding inkoop klantenservice receptie vacatures verkoop",
    "pl": "biuro faktury handlowy kadry ksiegowosc praca rekrutacja reklamacje sekretariat sklep sprzedaz zamowienia",
    "cs": "faktury fakturace objednavky obchod podpora prodej uctarna",
    "sv, da, nb": "bokhaldning bogholderi ekonomi faktura forsaljning jobb kundservice kundtjanst ordre regnskap salg salj",
    "fi": "asiakaspalvelu laskutus myynti tilaukset toimisto",
    "tr": "bilgi destek iletisim muhasebe satis",
}
ROLE_NAMES = frozenset(
    [
        *CASE_INSENSITIVE_MAILBOX_NAMES,
        *_ENGLISH.split(),
        *(name for names in _LOCALISED.values() for name in names.split()),
    ]
)
_PLACEHOLDERS = (
    "a aa aaa abc abcd anonymous asd asdf asdfasdf blank dummy email fake foo bar invalid keine mail me n na name nn "
    "no noemail nomail none noname nobody nomail noone nospam not notavailable null nowhere qwerty sample "
    "somebody someone test test1 test123 tester testing unbekannt undefined unknown user x xx xxx xxxx xyz y z zz"
)
PLACEHOLDER_WORDS = frozenset(_PLACEHOLDERS.split())
# RFC 2606 and 6761 keep these for examples; email-validator takes them.
EXAMPLE_DOMAINS = frozenset({"example.com", "example.net", "example.org"})
