//! WooCommerce's exports in the languages of its translations, and in others by structure.

use super::*;
use crate::feed::Format;

/// Names of the columns: ID, Type, SKU, Name, Published, Sale price, Regular price, Categories,
/// Images, Parent, Attribute 1 name, Attribute 1 value(s). Source: WooCommerce's language packs.
const HEADERS: [(&str, &str); 14] = [
    (
        "German",
        "ID;Typ;Artikelnummer;Name;Veröffentlicht;Angebotspreis;Regulärer Preis;Kategorien;\
      Bilder;Übergeordnetes Produkt;Attribut 1 Name;Attribut 1 Wert(e)",
    ),
    (
        "French",
        "ID;Type;UGS;Nom;Publié;Tarif promo;Tarif régulier;Catégories;Images;Parent;\
      Nom de l’attribut 1;Valeur(s) de l’attribut 1 ",
    ),
    (
        "Spanish",
        "ID;Tipo;SKU;Nombre;Publicado;Precio rebajado;Precio normal;Categorías;Imágenes;\
      Superior;Nombre del atributo 1;Valor(es) del atributo 1",
    ),
    (
        "Italian",
        "ID;Tipo;COD;Nome;Pubblicato;Prezzo in offerta;Prezzo di listino;Categorie;Immagine;\
      Genitore;Attributo 1 nome;Attributo 1 valuta(e)",
    ),
    (
        "Portuguese of Brazil",
        "ID;Tipo;SKU;Nome;Publicado;Preço promocional;Preço;Categorias;Imagens;\
      Ascendente;Nome do atributo 1;Valores do atributo 1",
    ),
    (
        "Portuguese",
        "ID;Tipo;REF;Nome;Publicado;Preço promocional;Preço normal;Categorias;Imagens;Pai;\
      Atributo 1 nome;Atributo 1 valor(es)",
    ),
    (
        "Dutch",
        "ID;Type;Artikelnummer;Naam;Gepubliceerd;Actieprijs;Reguliere prijs;Categorieën;\
      Afbeeldingen;Hoofd;Naam eigenschap 1;Waarde eigenschap 1",
    ),
    (
        "Polish",
        "ID;Typ;SKU;Nazwa;Opublikowano;Cena promocyjna;Cena;Kategorie;Obrazki;\
      Element nadrzędny;Nazwa atrybutu 1;Wartości atrybutu 1",
    ),
    (
        "Swedish",
        "ID;Typ;Artikelnr;Namn;Publicerad;Reapris;Ordinarie pris;Kategorier;Bilder;Överordnad;\
      Attribut 1 namn;Attribut 1 värde(n)",
    ),
    (
        "Czech",
        "ID;Typ;Katalogové číslo;Jméno;Publikovaný;Cena po slevě;Běžná cena;Kategorie;Obrázky;\
      Nadřazené;Název 1 vlastnosti;Hodnota(y) 1 vlastnosti",
    ),
    (
        "Russian",
        "ID;Тип;Артикул;Имя;Опубликован;Акционная цена;Базовая цена;Категории;Изображения;\
      Родительский;Имя атрибута 1;Значения атрибутов 1",
    ),
    (
        "Turkish",
        "Kimlik;Tür;Stok kodu (SKU);İsim;Yayımlanmış;İndirimli satış fiyatı;Normal fiyat;\
      Kategoriler;Görseller;Ebeveyn;Nitelik 1 ismi;Nitelik 1 değer(ler)i",
    ),
    (
        "Japanese",
        "ID;タイプ;SKU;名前;公開済み;セール価格;標準価格;カテゴリー;画像;親;属性 1 の名前;属性 1 の値",
    ),
    (
        "Danish",
        "ID;Type;Varenummer;Navn;Udgivet;Tilbudspris;Normalpris;Kategorier;Billeder;Forældre;\
      Egenskab 1 navn;Egenskab 1 værdi(er)",
    ),
];

const ROWS: &str = "\n1;simple;LAMP;Lamp;1;\"19,00\";\"39,90\";Home;https://x/1.jpg;;;\n\
                    2;variable;TEE;Tee;1;;;Tops;;;Size;\"S, M\"\n\
                    3;variation;TEE-S;Tee - S;1;;\"25,00\";;;TEE;Size;S\n\
                    4;variation;;Tee - M;1;;\"27,00\";;;id:2;Size;M\n\
                    5;simple;OFF;Off;0;;\"1,00\";;;;;\n6;grouped;SET;Set;1;;;;;;;\n";

fn check(feed: &Feed, language: &str) {
    assert_eq!(feed.format, Format::WooCommerce, "{language}");
    assert_eq!(bad_row_messages(feed), [""; 0], "{language}");
    assert_eq!(feed.questions, [], "{language}");
    let [lamp, tee] = &feed.products[..] else { panic!("{language}: {feed:#?}") };
    assert_eq!((lamp.sku.as_str(), lamp.price), ("LAMP", Price(3_990)), "{language}");
    assert_eq!((lamp.categories.len(), lamp.images.len()), (1, 1), "{language}");
    assert_eq!((tee.price, tee.options.join("+")), (Price(2_500), "Size".into()), "{language}");
    let variants: Vec<_> =
        tee.variants.iter().map(|v| (v.sku.as_str(), v.title.as_str())).collect();
    assert_eq!(variants, [("TEE-S", "S"), ("TEE-m", "M")], "{language}");
    assert_eq!(feed.left_out.total, 2, "{language}");
    assert_eq!(feed.sale_prices.as_ref().map(|sale| sale.count), Some(1), "{language}");
}

#[test]
fn exports_of_woocommerce_are_read_in_many_languages() {
    for (language, header) in HEADERS {
        check(&read_text(&[header, ROWS].concat()), language);
    }
}

#[test]
fn exports_in_other_languages_are_read_by_their_structure() {
    // Hungarian, in the exporter's order of columns.
    let header = "Azonosító;Típus;Cikkszám;GTIN;Név;Közzétéve;Kiemelt?;Láthatóság;Rövid leírás;Leírás;\
                  Akció kezdete;Akció vége;Adó státusz;Adóosztály;Készleten?;Készlet;Alacsony;\
                  Utórendelés?;Egyedi?;Súly (kg);Hossz (cm);Szélesség (cm);Magasság (cm);Vélemények?;\
                  Megjegyzés;Akciós ár;Normál ár;Kategóriák;Címkék;Szállítás;Képek;Limit;Lejárat;Szülő;\
                  Csoport;Felül;Kereszt;URL;Gomb;Pozíció;Jellemző 1 neve;Jellemző 1 értékei;\
                  Jellemző 1 látható;Jellemző 1 globális";
    let row = |id: &str,
               kind: &str,
               sku: &str,
               name: &str,
               published: &str,
               prices: [&str; 2],
               rest: [&str; 5]| {
        let [sale, regular] = prices;
        let [categories, images, parent, attribute, value] = rest;
        format!(
            "\n{id};{kind};{sku};;{name};{published};0;visible;;;;;taxable;;1;3;;0;0;0,5;;;;1;;{sale};{regular};\
             {categories};;;{images};;;{parent};;;;;;0;{attribute};{value};1;0"
        )
    };
    let rows = [
        row(
            "1",
            "simple",
            "LAMP",
            "Lamp",
            "1",
            ["19,00", "39,90"],
            ["Home", "https://x/1.jpg", "", "", ""],
        ),
        row("2", "variable", "TEE", "Tee", "1", ["", ""], ["Tops", "", "", "Size", "S, M"]),
        row("3", "variation", "TEE-S", "Tee - S", "1", ["", "25,00"], ["", "", "TEE", "Size", "S"]),
        row("4", "variation", "", "Tee - M", "1", ["", "27,00"], ["", "", "id:2", "Size", "M"]),
        row("5", "simple", "OFF", "Off", "0", ["", "1,00"], ["", "", "", "", ""]),
        row("6", "grouped", "SET", "Set", "1", ["", ""], ["", "", "", "", ""]),
    ];
    let feed = read_text(&[header, &rows.concat()].concat());
    check(&feed, "Hungarian");
    assert_eq!(feed.products[0].stock, Some(3));
}

#[test]
fn lists_are_read_in_many_languages() {
    for header in [
        "Artikelnummer;Bezeichnung;Preis",
        "Référence;Désignation;Prix",
        "Referencia;Nombre;Precio",
        "codice;nome prodotto;prezzo",
        "Código;Nome do produto;Preço",
        "Artikelcode;Productnaam;Prijs",
        "Kod produktu;Nazwa;Cena",
        "Artikelnr;Benämning;Pris",
        "Katalogové číslo;Název;Cena",
        "Артикул;Наименование;Цена",
        "Stok kodu;Ürün adı;Fiyat",
        "商品コード;商品名;価格",
        "Item no.;Product name;Unit price",
    ] {
        let feed = read_text(&format!("{header}\nA-1;Hammer;12,90\n"));
        assert_eq!(feed.questions, [], "{header}");
        assert_eq!(feed.products, [product("A-1", "Hammer", 1_290)], "{header}");
    }
}

#[test]
fn headers_are_told_from_titles_and_data() {
    use crate::feed::{format_reader::is_header as is_header_of, header::Header};
    let is_header = |cells: &[&str]| {
        let header = Header::new(&cells.iter().collect::<csv::StringRecord>(), 1);
        is_header_of(&header, &Default::default())
    };
    assert!(is_header(&["Artikelnummer", "Bezeichnung", "VK", "x"]));
    assert!(is_header(&["Handle", "Title", "Variant Price"]));
    assert!(is_header(&["ID", "Typ", "Artikelnummer", "Name", "Regulärer Preis"]));
    assert!(is_header(&["id", "title", "price", "link"]));
    assert!(!is_header(&["Price list 2026", "", ""]));
    assert!(!is_header(&["A-1", "Hammer", "12,90"]));
}
