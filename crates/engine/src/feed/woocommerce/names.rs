//! Names of the columns of WooCommerce's exporter in the languages of its translations.
//! Source: the language packs of WooCommerce 3 to 10 for the texts in
//! <https://github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/includes/export/class-wc-product-csv-exporter.php>,
//! with older translations of the same text. Languages: English, German, French, Spanish,
//! Italian, Portuguese (both), Dutch, Polish, Swedish, Czech, Russian, Turkish, Japanese,
//! Danish, Norwegian, Finnish, Ukrainian and Slovak.

use crate::feed::layout::FieldNames;
use contract::feed::Field;

/// Names by field, separated by `|`.
pub(in crate::feed) const NAMES: FieldNames = &[
    (Field::RowId, "ID|Kimlik"),
    (Field::RowKind, "Type|Typ|Tipo|Тип|Tür|タイプ|種類|Laji"),
    (
        Field::Sku,
        "SKU|Artikelnummer|UGS|COD|REF|Artikelnr|Артикул|Stok kodu (SKU)|Stok kodu|Varenummer|\
         Tuotetunnus (SKU)|Katalogové číslo|Katalógové číslo|Código|Codice|商品コード",
    ),
    (
        Field::Title,
        "Name|Nom|Nombre|Nome|Naam|Nazwa|Namn|Имя|Название|İsim|Ad|名前|商品名|Navn|Nimi|Ім'я|Назва|\
         Jméno|Název|Meno|Názov",
    ),
    (
        Field::Price,
        "Regular price|Regulärer Preis|Normaler Preis|Tarif régulier|Prix régulier|Precio normal|\
         Precio regular|Prezzo di listino|Prezzo regolare|Preço|Preço normal|Preço regular|\
         Reguliere prijs|Normale prijs|Cena|Cena regularna|Ordinarie pris|Базовая цена|\
         Обычная цена|Normal fiyat|標準価格|通常価格|Normalpris|Ordinær pris|Normaali hinta|\
         Звичайна ціна|Běžná cena|Normálna cena|Bežná cena",
    ),
    (
        Field::SalePrice,
        "Sale price|Angebotspreis|Tarif promo|Prix promo|Precio rebajado|Precio de oferta|\
         Prezzo in offerta|Preço promocional|Preço de promoção|Actieprijs|Aanbiedingsprijs|\
         Cena promocyjna|Cena wyprzedażowa|Reapris|Акционная цена|Цена распродажи|\
         İndirimli satış fiyatı|İndirimli fiyat|セール価格|Tilbudspris|Utsalgspris|Alennettu hinta|\
         Ціна зі знижкою|Cena po slevě|Zlevněná cena|Cena po zľave",
    ),
    (
        Field::SaleStart,
        "Date sale price starts|Datum, an dem Angebotspreis beginnt|Date de début de promo|\
         Día en que empieza el precio rebajado|Data di partenza del prezzo in saldo|\
         Data de preço promocional começa em|Data de início do preço promocional|\
         Startdatum actieprijs|Data rozpoczęcia promocji|Datum när reapriset börjar|\
         Дата начала действия скидки|İndirimli fiyatın başladığı tarih|セール価格の開始日|\
         Den dato hvor tilbudsprisen starter|Startdato for utsalgspris|Alennuksen aloituspäivä|\
         Початок акції|Sleva začíná dne|Dátum začiatku zľavy",
    ),
    (
        Field::SaleEnd,
        "Date sale price ends|Datum, an dem Angebotspreis endet|Date de fin de promo|\
         Día en que termina el precio rebajado|Data in cui termina l'offerta|\
         Data de preço promocional termina em|Data de término do preço promocional|\
         Einddatum actieprijs|Data zakończenia promocji|Datum när reapriset upphör|\
         Дата окончания действия скидки|İndirimli fiyatın bittiği tarih|セール価格の終了日|\
         Den dato hvor tilbudsprisen slutter|Sluttdato for utsalgspris|Alennuksen päättymispäivä|\
         Завершення акції|Sleva končí dne|Dátum konca akciovej ceny",
    ),
    (
        Field::Description,
        "Description|Beschreibung|Descripción|Descrizione|Descrição|Beschrijving|Opis|Beskrivning|\
         Описание|Açıklama|説明|Beskrivelse|Kuvaus|Опис|Popis",
    ),
    (
        Field::Description,
        "Short description|Kurzbeschreibung|Description courte|Descripción corta|\
         Breve descrizione|Descrizione breve|Descrição curta|Descrição breve|Korte omschrijving|\
         Korte beschrijving|Krótki opis|Kort beskrivning|Краткое описание|Kısa açıklama|\
         簡単な説明|商品の簡単な説明|Kort beskrivelse|Lyhyt kuvaus|Короткий опис|Krátký popis|Krátky popis",
    ),
    (
        Field::Status,
        "Published|Veröffentlicht|Publié|Publicado|Pubblicato|Gepubliceerd|Opublikowano|\
         Opublikowany|Publicerad|Опубликован|Опубликовано|Yayımlanmış|Yayınlandı|公開済み|公開|\
         Udgivet|Publisert|Julkaistu|Опубліковано|Publikovaný|Publikováno|Publikované",
    ),
    (
        Field::Categories,
        "Categories|Kategorien|Catégories|Categorías|Categorie|Categorias|Categorieën|Kategorie|\
         Kategorier|Категории|Kategoriler|カテゴリー|Osastot|Категорії|Kategórie",
    ),
    (
        Field::Tags,
        "Tags|Schlagwörter|Étiquettes|Etiquetas|Tag|Tagi|Etiketter|Метки|Etiketler|タグ|Stikkord|\
         Avainsanat|Позначки|Štítky|Značky",
    ),
    (
        Field::Image,
        "Images|Bilder|Imágenes|Immagine|Immagini|Imagens|Afbeeldingen|Obrazki|Изображения|\
         Görseller|画像|Billeder|Kuvat|Зображення|Obrázky",
    ),
    (
        Field::Parent,
        "Parent|Übergeordnetes Produkt|Superior|Genitore|Ascendente|Pai|Hoofd|Element nadrzędny|\
         Rodzic|Överordnad|Родительский|Ebeveyn|親|Forældre|Forelder|Ylempi taso|Предок|Nadřazené|\
         Nadradené",
    ),
    (
        Field::Stock,
        "Stock|Lager|Lagerbestand|Inventario|Magazzino|Estoque|Voorraad|Stan magazynowy|\
         Lagersaldo|Запасы|Stok|在庫|Varasto|Запас|Sklad",
    ),
    (
        Field::Barcode,
        "GTIN, UPC, EAN, or ISBN|GTIN, UPC, EAN oder ISBN|GTIN, UPC, EAN ou ISBN|\
         GTIN, UPC, EAN o ISBN|GTIN, UPC, EAN, ou ISBN|GTIN, UPC, EAN of ISBN|\
         GTIN, UPC, EAN lub ISBN|GTIN, UPC, EAN eller ISBN|GTIN, UPC, EAN nebo ISBN|\
         GTIN, UPC, EAN или ISBN|GTIN, UPC, EAN veya ISBN|GTIN、UPC、EAN、または ISBN",
    ),
    (
        Field::Vendor,
        "Brands|Brand|Marken|Marke|Marques|Marcas|Marchi|Merken|Marki|Varumärken|Vendor",
    ),
    (
        Field::OptionName,
        "Attribute %d name|Attribut %d Name|Nom de l'attribut %d|Nombre del atributo %d|\
         Attributo %d nome|Nome dell'attributo %d|Nome do atributo %d|Atributo %d nome|\
         Naam eigenschap %d|Nazwa atrybutu %d|Attribut %d namn|Имя атрибута %d|\
         Название атрибута %d|Nitelik %d ismi|Nitelik %d adı|属性 %d の名前|属性 %d 名|Egenskab %d navn|\
         Attributt %d navn|Ominaisuus %d nimi|Назва %d атрибуту|Název %d vlastnosti|\
         Název vlastnosti %d|Meno vlastnosti %d",
    ),
    (
        Field::OptionValue,
        "Attribute %d value(s)|Attribut %d Wert(e)|Valeur(s) de l'attribut %d|\
         Valor(es) del atributo %d|Attributo %d valuta(e)|Attributo %d valore(i)|\
         Valori dell'attributo %d|Valores do atributo %d|Atributo %d valor(es)|\
         Waarde eigenschap %d|Waarde(n) eigenschap %d|Wartości atrybutu %d|Attribut %d värde(n)|\
         Значения атрибутов %d|Значения атрибута %d|Nitelik %d değer(ler)i|属性 %d の値|\
         Egenskab %d værdi(er)|Attributt %d verdi(er)|Ominaisuus %d arvo(t)|%d значення атрибуту|\
         Hodnota(y) %d vlastnosti|Hodnota(y) vlastnosti %d",
    ),
    (
        Field::Weight,
        "Weight (%s)|Gewicht (%s)|Poids (%s)|Peso (%s)|Waga (%s)|Vikt (%s)|Вес (%s)|Ağırlık (%s)|\
         重量 (%s)|Vægt (%s)|Vekt (%s)|Paino (%s)|Вага (%s)|Hmotnost (%s)|Hmotnosť (%s)",
    ),
];
