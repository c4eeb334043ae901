//! Names that lists and other formats use for the fields of a product.

use super::layout::FieldNames;
use contract::feed::Field;

/// Names in plain lists by field, separated by `|`, the most certain first: English, German,
/// French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Czech, Russian, Turkish,
/// Japanese. A name that may mean two fields, such as *Artikel* or *VK*, is not among them;
/// the person is asked.
pub(super) const PLAIN: FieldNames = &[
    (
        Field::Sku,
        "sku|product sku|item sku|variant sku|sku code|sku id|seller sku|merchant sku|item number|\
         item no|item no.|article number|part number|product code|item code|product number|\
         stock code|Artikelnummer|Artikelnr|Artikelnr.|Artikel Nr|Artikel Nr.|Art. Nr.|Art.Nr.|\
         Art Nr|ArtNr|Artikel Nummer|Produktnummer|Bestellnummer|Bestell Nr.|\
         Référence|Référence produit|Réf|Réf.|Ref|Ref.|UGS|Code article|Code produit|\
         Referencia|Código|Código de producto|Código de artículo|Cód|COD|\
         Codice|Codice prodotto|Codice articolo|Cod. articolo|Referência|Código do produto|\
         Código do artigo|Artikelcode|Productcode|Productnummer|Indeks|Kod produktu|Symbol|Kod|\
         Numer katalogowy|Artikelnr|Katalogové číslo|Kód|Kód produktu|Kód zboží|Артикул|\
         Код товара|Код|Stok kodu|Stok kodu (SKU)|Ürün kodu|商品コード|商品番号|品番|型番|SKUコード|\
         Varenummer|code",
    ),
    (
        Field::Title,
        "title|name|product title|product name|item name|item title|Bezeichnung|Produktname|\
         Artikelname|Artikelbezeichnung|Produktbezeichnung|Produkttitel|Titel|\
         Nom|Nom du produit|Nom produit|Désignation|Libellé|Titre|Titre du produit|\
         Nombre|Nombre del producto|Nombre de producto|Título|Título del producto|Denominación|\
         Nome|Nome prodotto|Nome del prodotto|Titolo|Titolo del prodotto|Denominazione|\
         Nome do produto|Título do produto|Designação|Naam|Productnaam|Producttitel|Artikelnaam|\
         Nazwa|Nazwa produktu|Nazwa towaru|Tytuł|Namn|Produktnamn|Benämning|Rubrik|\
         Název|Název produktu|Název zboží|Jméno|Название|Наименование|Название товара|\
         Наименование товара|Имя|Ürün adı|Ad|İsim|Başlık|Ürün ismi|商品名|製品名|名前|タイトル|品名|Varenavn",
    ),
    (
        Field::Price,
        "price|unit price|regular price|selling price|sales price|retail price|Preis|Verkaufspreis|\
         Einzelpreis|Stückpreis|Regulärer Preis|Prix|Prix unitaire|Prix de vente|Tarif|\
         Tarif régulier|Precio|Precio de venta|Precio unitario|Precio normal|Prezzo|\
         Prezzo di vendita|Prezzo unitario|Prezzo di listino|Preço|Preço de venda|Preço unitário|\
         Preço normal|Prijs|Verkoopprijs|Reguliere prijs|Stukprijs|Cena|Cena sprzedaży|\
         Cena jednostkowa|Pris|Försäljningspris|Ordinarie pris|Prodejní cena|Běžná cena|Цена|\
         Цена продажи|Базовая цена|Fiyat|Satış fiyatı|Birim fiyat|Normal fiyat|価格|販売価格|単価|\
         値段|金額",
    ),
    (
        Field::SalePrice,
        "sale price|special price|discount price|discounted price|offer price|promo price|\
         Angebotspreis|Aktionspreis|Sonderpreis|Prix promo|Prix promotionnel|Prix soldé|Tarif promo|\
         Precio rebajado|Precio de oferta|Prezzo scontato|Prezzo in offerta|Preço promocional|\
         Actieprijs|Aanbiedingsprijs|Cena promocyjna|Reapris|Kampanjpris|Cena po slevě|\
         Akční cena|Цена со скидкой|Акционная цена|İndirimli fiyat|İndirimli satış fiyatı|セール価格|\
         特価",
    ),
    (
        Field::CompareAtPrice,
        "compare at price|variant compare at price|compare price|was price|old price|\
         original price|Streichpreis|Alter Preis|Prix barré|Ancien prix|Precio anterior|\
         Precio tachado|Prezzo precedente|Prezzo barrato|Preço anterior|Oude prijs|Stara cena|\
         Tidigare pris|Původní cena|Старая цена|Eski fiyat|元の価格",
    ),
    (
        Field::SaleStart,
        "sale start|sale starts|sale price start date|special price from|date sale price starts",
    ),
    (
        Field::SaleEnd,
        "sale end|sale ends|sale price end date|special price to|date sale price ends",
    ),
    (
        Field::Currency,
        "currency|currency code|price currency|Währung|Devise|Monnaie|Moneda|Divisa|Valuta|Moeda|\
         Waluta|Měna|Валюта|Para birimi|通貨",
    ),
    (
        Field::Description,
        "description|body|body html|body (html)|product description|long description|Beschreibung|\
         Produktbeschreibung|Artikelbeschreibung|Langtext|Description du produit|Descriptif|\
         Descripción|Descripción del producto|Descrizione|Descrizione prodotto|Descrição|\
         Descrição do produto|Beschrijving|Omschrijving|Productbeschrijving|Opis|Opis produktu|\
         Beskrivning|Produktbeskrivning|Popis|Popis produktu|Описание|Описание товара|Açıklama|\
         Ürün açıklaması|説明|商品説明|Beskrivelse|short description|Kurzbeschreibung",
    ),
    (
        Field::Vendor,
        "vendor|brand|manufacturer|brand name|Hersteller|Marke|Lieferant|Fabricant|Marque|\
         Fournisseur|Fabricante|Marca|Proveedor|Produttore|Marchio|Fornitore|Fornecedor|Merk|\
         Fabrikant|Leverancier|Producent|Marka|Dostawca|Tillverkare|Varumärke|Leverantör|Výrobce|\
         Značka|Dodavatel|Производитель|Бренд|Поставщик|Üretici|メーカー|ブランド",
    ),
    (
        Field::Image,
        "image|image url|image src|image link|images|picture|photo|Bild|Bild URL|Bilder|Foto|\
         Image URL|Photo|Imagen|Imágenes|URL de imagen|Immagine|Immagini|URL immagine|Imagem|\
         Imagens|Afbeelding|Afbeeldingen|Zdjęcie|Zdjęcia|Obrazek|Bild-URL|Obrázek|Obrázky|Фото|\
         Изображение|Изображения|Картинка|Resim|Görsel|Görseller|画像|画像URL|メイン画像",
    ),
    (Field::ImageAlt, "image alt|image alt text|alt text|Bildtext|Alternativtext|Texte alternatif"),
    (
        Field::Parent,
        "parent|parent sku|parent id|parent product|variant of|Elternartikel|Vaterartikel|\
         Hauptartikel|Übergeordnete Artikelnummer|Übergeordnetes Produkt|UGS parent|\
         Référence parent|Padre|SKU padre|SKU del padre|SKU genitore|Codice padre|Pai|SKU pai|\
         Hoofdartikel|SKU nadrzędne|Huvudartikel|Родитель|Ana ürün|親商品|親SKU",
    ),
    (Field::Handle, "handle|url handle|slug|url key|permalink"),
    (
        Field::ProductType,
        "type|product type|Produkttyp|Produktart|Warengruppe|Type de produit|Tipo de producto|\
         Tipo di prodotto|Tipo de produto|Producttype|Typ produktu|Produkttyp|Тип товара|Ürün tipi|\
         商品タイプ",
    ),
    (
        Field::Tags,
        "tags|keywords|Schlagwörter|Stichwörter|Mots clés|Étiquettes|Etiquetas|Palabras clave|\
         Parole chiave|Palavras chave|Trefwoorden|Tagi|Taggar|Štítky|Теги|Метки|Etiketler|タグ",
    ),
    (
        Field::Categories,
        "categories|category|product category|Kategorien|Kategorie|Catégories|Catégorie|Rubrique|\
         Categorías|Categoría|Categorie|Categoria|Categorias|Categorieën|Kategoria|Kategorier|\
         Kategori|Kategorie produktu|Категории|Категория|Kategoriler|カテゴリー|カテゴリ",
    ),
    (
        Field::Status,
        "status|product status|published|is published|Veröffentlicht|Statut|Publié|Estado|Publicado|\
         Stato|Pubblicato|Gepubliceerd|Opublikowano|Publicerad|Stav|Publikováno|Статус|Опубликовано|\
         Durum|ステータス|公開",
    ),
    (
        Field::Barcode,
        "barcode|gtin|ean|upc|isbn|ean code|ean13|ean 13|gtin13|gtin 13|variant barcode|EAN-Code|\
         Barcode (EAN)|GTIN/EAN|EAN/GTIN|Strichcode|Code barres|Code à barres|Code EAN|\
         Código de barras|Codice a barre|Codice EAN|Streepjescode|Kod kreskowy|Kod EAN|Streckkod|\
         Čárový kód|Штрихкод|Штрих код|Barkod|JANコード|JAN|バーコード",
    ),
    (
        Field::Stock,
        "stock|quantity|qty|inventory|inventory quantity|stock quantity|stock level|on hand|\
         Bestand|Lagerbestand|Menge|Anzahl|Quantité|Quantité en stock|Cantidad|Existencias|\
         Inventario|Quantità|Giacenza|Magazzino|Disponibilità|Quantidade|Estoque|Aantal|Voorraad|\
         Ilość|Stan magazynowy|Stan|Lagersaldo|Lager|Antal|Množství|Skladem|Sklad|Количество|\
         Остаток|Запасы|Stok|Stok adedi|Adet|Miktar|在庫|在庫数|数量",
    ),
    (
        Field::Weight,
        "weight (%s)|Gewicht (%s)|Poids (%s)|Peso (%s)|Waga (%s)|Vikt (%s)|Hmotnost (%s)|Вес (%s)|\
         Ağırlık (%s)|重量 (%s)|weight|Gewicht|Poids|Peso|Waga|Vikt|Hmotnost|Вес|Ağırlık|重量",
    ),
    (Field::WeightUnit, "weight unit|unit of weight|Gewichtseinheit|Unité de poids|Unidad de peso"),
    (Field::OptionName, "options|option names"),
    (Field::OptionValue, "option values|variant options"),
];

/// Columns by which the variants of a plain list may differ.
pub(super) const OPTIONS: [&str; 26] = [
    "color",
    "colour",
    "size",
    "material",
    "pattern",
    "style",
    "Farbe",
    "Größe",
    "Couleur",
    "Taille",
    "Talla",
    "Colore",
    "Taglia",
    "Cor",
    "Tamanho",
    "Kleur",
    "Maat",
    "Kolor",
    "Rozmiar",
    "Färg",
    "Storlek",
    "Barva",
    "Velikost",
    "Цвет",
    "Размер",
    "Renk",
];

/// Names in Shopify's exports, those of 2024 and later after the older ones.
/// Source: <https://help.shopify.com/en/manual/products/import-export/using-csv>.
pub(super) const SHOPIFY: FieldNames = &[
    (Field::Handle, "handle|url handle"),
    (Field::Title, "title"),
    (Field::Price, "variant price|price"),
    (Field::CompareAtPrice, "variant compare at price|compare at price"),
    (Field::Sku, "variant sku|sku"),
    (Field::Description, "body (html)|body html|body|description"),
    (Field::Vendor, "vendor"),
    (Field::ProductType, "type|custom product type"),
    (Field::Tags, "tags"),
    (Field::Categories, "product category|standardized product type"),
    (Field::Status, "status"),
    (Field::Status, "published|published on online store"),
    (Field::Image, "image src|product image url"),
    (Field::Image, "variant image|variant image url"),
    (Field::ImageAlt, "image alt text"),
    (Field::Barcode, "variant barcode|barcode"),
    (Field::Stock, "variant inventory qty|inventory quantity"),
    (Field::Weight, "variant grams|weight value (grams)|variant weight"),
    (Field::OptionName, "option%d name"),
    (Field::OptionValue, "option%d value"),
];

/// Names in Google Merchant feeds.
/// Source: <https://support.google.com/merchants/answer/7052112>.
pub(super) const GOOGLE: FieldNames = &[
    (Field::Sku, "id"),
    (Field::Title, "title"),
    (Field::Price, "price"),
    (Field::SalePrice, "sale price"),
    (Field::SaleStart, "sale price effective date"),
    (Field::Description, "description"),
    (Field::Vendor, "brand"),
    (Field::Image, "image link"),
    (Field::Image, "additional image link"),
    (Field::Handle, "item group id"),
    (Field::ProductType, "product type"),
    (Field::Categories, "google product category"),
    (Field::Barcode, "gtin"),
    (Field::Weight, "shipping weight|product weight"),
];

/// Names in files for Vendure's importer. A name may be followed by a language, as in
/// `name:en`. Source: <https://docs.vendure.io/guides/developer-guide/importing-data>.
pub(super) const VENDURE: FieldNames = &[
    (Field::Title, "name"),
    (Field::Handle, "slug"),
    (Field::Description, "description"),
    (Field::Image, "assets"),
    (Field::Categories, "facets"),
    (Field::OptionName, "optiongroups"),
    (Field::OptionValue, "optionvalues"),
    (Field::Sku, "sku"),
    (Field::Price, "price"),
    (Field::Stock, "stockonhand"),
    (Field::Status, "enabled"),
];

/// Names in Medusa's exports and import templates, versions 1 and 2. Prices have a column for
/// each currency. Source: <https://docs.medusajs.com/user-guide/products/import>.
pub(super) const MEDUSA: FieldNames = &[
    (Field::Handle, "product handle"),
    (Field::Title, "product title"),
    (Field::Sku, "variant sku"),
    (Field::Description, "product description"),
    (Field::Status, "product status"),
    (Field::ProductType, "product type|product type value|product type id"),
    (Field::Tags, "product tags"),
    (Field::Barcode, "variant barcode|variant ean|variant upc"),
    (Field::Stock, "variant inventory quantity"),
    (Field::Weight, "variant weight|product weight"),
    (Field::OptionName, "variant option %d name|option %d name"),
    (Field::OptionValue, "variant option %d value|option %d value"),
];
