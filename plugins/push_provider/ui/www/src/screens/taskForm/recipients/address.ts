// Whether a text can be an address of a channel. The API has the last word: this is so near to it that a wrong row is
// seen before anything is sent, and refuses nothing that it takes.

/** Marks without a width of their own, which address books put around what one copies. */
const INVISIBLE = /[\u00ad\u061c\u180e\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u206f]/g;
const MAILBOX = /^[^\s@.,;:<>()[\]\\"]+(\.[^\s@.,;:<>()[\]\\"]+)*$/;
const DOMAIN = /^((?!-)[^\s@.,;:<>()[\]\\"/_]{1,63}(?<!-)\.)+(?!-)[^\s@.,;:<>()[\]\\"/_]{1,63}(?<!-)$/;
const NO_MAIL = new Set(["arpa", "invalid", "local", "localhost", "onion"]);

function isMail(text: string): boolean {
  const at = text.lastIndexOf("@");
  if (at < 1 || text.length > 254) return false;
  // Chinese keyboards write the full stop of a domain so.
  const domain = text.slice(at + 1).replace(/[。．｡]/g, ".");
  const top = domain.slice(domain.lastIndexOf(".") + 1).toLowerCase();
  return MAILBOX.test(text.slice(0, at)) && DOMAIN.test(domain) && !/^\d+$/.test(top) && !NO_MAIL.has(top);
}

const MAINLAND = /^(?:\+86|0086|86)?1[3-9]\d{9}$/;
const ABROAD = /^(\+|00)(?!86)[1-9]\d{5,14}$/;
const SEPARATORS = /[\s().\-\u2010-\u2015\u2043\u2212\ufe58\ufe63]+/g;
const AMERICAN = /^(1 \d{3} ?\d{3} ?\d{4}|\d{3} \d{3} ?\d{4})$/;

/** A number's groups of digits with a blank between them; Chinese keyboards have digits of their own. */
function groupsOf(text: string): string {
  const ascii = text.replace(/[\uff01-\uff5e]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) - 0xfee0));
  return ascii.replace(SEPARATORS, " ").trim();
}

function isPhone(text: string): boolean {
  if (MAINLAND.test(text)) return true; // nearly all, of long lists
  const groups = groupsOf(text);
  if (AMERICAN.test(groups)) return false;
  const digits = groups.replaceAll(" ", "");
  // Without its plus a short one may be a day or an order: what begins with 1 is no number of elsewhere, either.
  return MAINLAND.test(digits) || ABROAD.test(digits) || /^(?!86)[2-9]\d{9,14}$/.test(digits);
}

/** Whether a text is an address and cannot well be anything else: an order may have as many digits as a number. */
export function isPlainly(channel: string, text: string): boolean {
  if (channel !== "sms") return isAddress(channel, text);
  const digits = groupsOf(bare(text)).replaceAll(" ", "");
  return MAINLAND.test(digits) || ABROAD.test(digits);
}

/** A user id that a channel of Centrifugo can be of. */
const isUser = (text: string): boolean => /^[!-~]{1,200}$/.test(text) && !/[#,]/.test(text);

/** A device id, an account or an alias. */
const isDevice = (text: string): boolean => /^[^\s,]{1,320}$/u.test(text);

const CHECKS: Record<string, (text: string) => boolean> = { email: isMail, sms: isPhone, websocket: isUser, app: isDevice };

/** What stands between addresses of one line. A user id may hold any mark but the comma. */
const BETWEEN: Record<string, RegExp> = {
  email: /[\s,;，；、]+/,
  sms: /[,;，；、\t]+/,
  websocket: /[\s,，；、]+/,
  app: /[\s,，；、]+/,
};

/** An address without the blanks and marks around it. */
export const bare = (text: string): string => text.replace(INVISIBLE, "").trim();

/** Whether addresses of the channel look like nothing else: a user or a device may be called anything. */
export const areTellable = (channel: string): boolean => channel === "email" || channel === "sms";

/** What people call the column of a channel's addresses, in small letters and without what stands between words. */
const OWN_HEADS: Record<string, RegExp> = {
  email: /^(e?mail(address)?|(收件人|联系|电子)?(邮箱|邮件)(地址)?)$/,
  sms: /^((mobile|cell|tele)?phone(no|number)?|(mobile|cell|tel|msisdn)(no|number)?|number|(联系|移动)?(手机|电话)(号|号码)?|号码|联系方式)$/,
};
const TO = /^(to|recipient|收件人|接收人)$/;
/** Other names that a column of addresses may have. */
const HEADS =
  /^(address|account|alias|login|token|openid|u?id|user|device|((user|device|client|customer|member|registration)(id|name|token|no|number))|用户|设备|(用户|设备|客户|会员|注册)(id|名|号|编号|标识)|帐号|账号|账户|别名|地址)$/;

/** How surely a text is the name of a column of a channel's addresses: 2 it is, 1 it may be, 0 it is none. */
export function headOf(channel: string, text: string): 0 | 1 | 2 {
  const name = bare(text).toLowerCase().replace(/[\s_.\-]+/g, "");
  if (TO.test(name) || OWN_HEADS[channel]?.test(name)) return 2;
  return HEADS.test(name) ? 1 : 0;
}

export function isAddress(channel: string, text: string): boolean {
  const address = bare(text);
  return address !== "" && address.length <= 320 && (CHECKS[channel]?.(address) ?? true);
}

/** Several addresses of one line; only where none of the separators can be part of one. */
export function addressesOf(channel: string, line: string): string[] {
  const between = BETWEEN[channel];
  return (between ? line.split(between) : [line]).map(bare).filter((part) => part !== "");
}
